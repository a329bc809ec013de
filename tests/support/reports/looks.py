"""How a reader may see a page, and what must hold of it then, as JavaScript that finds the rest."""

from __future__ import annotations

import pytest

WIDE, NARROW = 1400, 390
LOOKS = [(width, theme) for width in (WIDE, NARROW) for theme in ("light", "dark")]
in_each_look = pytest.mark.parametrize(("width", "theme"), LOOKS)

# Text of the page that names a head and is no link: in controls, code and quotations it cannot be.
UNLINKED = r"""(() => {
    const found = [];
    const texts = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
    const other = "a, option, code, pre, svg, script, blockquote, h1#head-title, "
        + "#head-preview, noscript, .token, .looks";
    while (texts.nextNode()) {
        const { parentElement, textContent } = texts.currentNode;
        if (/\bL\d+H\d+\b/.test(textContent) && !parentElement.closest(other))
            found.push(textContent);
    }
    return found;
})()"""

# The heads that the links of a page lead to, as the address names them.
LINKED = """[...document.querySelectorAll("main a")].map(link => link.href)
    .filter(href => href.includes("head="))
    .map(href => new URLSearchParams(href.split("#")[1]).get("head"))"""

# Whether the page is no wider than the window; and charts whose plot is narrow or whose labels are
# cut, and parts of the page that are.
CUT = """(async () => {
    const found = [];
    for (const [id, view] of headswap.views) {
        const chart = id && document.getElementById(id);
        if (!chart || !chart.clientWidth) continue;
        if (view.width() < 200) found.push([id, "plot", view.width()]);
        const place = document.createElement("div");
        place.style = "position: absolute; left: 0; top: 0; visibility: hidden";
        place.innerHTML = await view.toSVG();
        document.body.append(place);
        const all = place.firstElementChild.getBoundingClientRect();
        if (all.width > chart.clientWidth + 1) found.push([id, "wide", all.width]);
        for (const text of place.querySelectorAll("text")) {
            const box = text.getBoundingClientRect();
            if (box.width && (box.left < all.left - 2 || box.right > all.right + 2))
                found.push([id, text.textContent, Math.round(box.left), Math.round(box.right)]);
        }
        place.remove();
    }
    for (const part of document.querySelectorAll("main figure, main .scroll, main pre, main p"))
        if (part.scrollWidth > part.clientWidth + 1)
            found.push([part.tagName, part.className, part.scrollWidth, part.clientWidth]);
    return [document.documentElement.scrollWidth <= innerWidth, found];
})()"""
