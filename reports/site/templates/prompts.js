// Whose attention the tokens show; models may cut a prompt into other tokens.
(() => {
  const [choice, list] = [document.getElementById("prompts-model"), document.getElementById("prompts-list")];
  const show = () => {
    const { received, tokenizer } = choice.selectedOptions[0].dataset;
    list.dataset.received = received;
    for (const prompt of list.children) {
      prompt.hidden = prompt.dataset.tokenizer !== tokenizer;
      if (!prompt.hidden) questions.follow(prompt.querySelector(".sql"), { model: choice.value });
    }
  };
  address.bind("attention", choice);
  address.on(["attention"], show);
  show();
})();
