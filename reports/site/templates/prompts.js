// Whose attention the tokens show; models may cut a prompt into other tokens.
(() => {
  const [choice, list] = [document.getElementById("prompts-model"), document.getElementById("prompts-list")];
  const show = () => {
    list.dataset.received = choice.value;
    const { tokenizer } = choice.selectedOptions[0].dataset;
    for (const prompt of list.children) prompt.hidden = prompt.dataset.tokenizer !== tokenizer;
  };
  choice.addEventListener("input", show);
  show();
})();
