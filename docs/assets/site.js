// The theme's script adds a button to each block of code, and boxes that scroll: this gives the buttons names of their
// own and lets the keyboard scroll the boxes.
"use strict";
{
  const mend = () => {
    document.querySelectorAll(".md-code__nav").forEach((nav, place) => {
      if (!nav.hasAttribute("aria-label")) nav.setAttribute("aria-label", `Block of code ${place + 1}`);
    });
    for (const box of document.querySelectorAll(".md-typeset pre > code, .md-typeset__scrollwrap")) {
      if (box.scrollWidth > box.clientWidth && box.tabIndex !== 0) box.tabIndex = 0;
    }
  };
  const watched = { childList: true, subtree: true, attributes: true, attributeFilter: ["tabindex"] };
  new MutationObserver(mend).observe(document.body, watched);
  addEventListener("resize", mend);
  mend();
}
