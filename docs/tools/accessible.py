"""What the theme leaves out for keyboards and screen readers, added to each page when the site is built.

`docs/assets/site.js` does the same for what the theme's script adds in the browser.
"""

from __future__ import annotations

import re

SEARCH = 'data-md-component="search" role="dialog"'
SEARCH_OPTIONS = 'class="md-search__options" aria-label="Search"'
NESTED_CONTENTS = re.compile(r'<nav class="md-nav" aria-label="[^"]*">((?:(?!<nav\b).)*?)</nav>', re.DOTALL)
PART = re.compile(r'aria-labelledby="__nav_[\d_]+_label"([^>]*>\s*<label[^>]*>)(.*?)</label>', re.DOTALL)


def accessible(page: str) -> str:
    """Return a page on which the search, its options and the parts of the site have names of their own.

    Args:
        page: HTML of a whole page.
    """
    page = page.replace(SEARCH, f'{SEARCH} aria-label="Search"')
    page = page.replace(SEARCH_OPTIONS, SEARCH_OPTIONS.replace("Search", "What to do with the search"))
    return _plain_contents(PART.sub(_named_part, page))


def _named_part(found: re.Match[str]) -> str:
    """A part with a page of its own is named by an arrow without words: its title stands below."""
    title = re.sub(r"<[^>]*>", "", found[2]).strip()
    return f'aria-label="{title}"{found[1]}{found[2]}</label>'


def _plain_contents(page: str) -> str:
    """A heading with headings below it is a landmark in the theme: two of one name cannot be told apart."""
    found = 1
    while found:  # the innermost first
        page, found = NESTED_CONTENTS.subn(r'<div class="md-nav">\1</div>', page)
    return page
