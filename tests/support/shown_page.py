# SPDX-License-Identifier: Apache-2.0
"""What a browser knows of a page that it shows."""

import re
import zlib


def visible(browser):
    """Size of every section, and which raster is shown."""
    sizes = browser.evaluate(
        "[...document.querySelectorAll('section')].map(s => {"
        "const r = s.getBoundingClientRect(); return [s.id, r.width, r.height]})"
    )
    shown = browser.evaluate(
        "[...document.querySelectorAll('figure.raster')].filter(f => f.offsetHeight > 0)"
        ".map(f => f.id)"
    )
    return sizes, shown


def overflow(browser):
    return browser.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )


def printed(pdf):
    """How many letters and strokes each sheet shows."""
    objects = {
        int(number): body for number, body in re.findall(rb"(?s)\n(\d+) 0 obj\b(.*?)\bendobj", pdf)
    }
    found = []
    for body in objects.values():
        if not re.search(rb"/Type\s*/Page\b", body):
            continue
        content = objects[int(re.search(rb"/Contents (\d+) 0 R", body)[1])]
        stream = re.search(rb"(?s)stream\r?\n(.*)endstream", content)[1]
        drawn = zlib.decompressobj().decompress(stream)
        found.append(len(re.findall(rb"\bT[jJ]\b|\bre\b|\bf\b|\bS\b", drawn)))
    return found


CONTRASTS = """
(() => {
  const rgb = text => text.match(/[\\d.]+/g).map(Number);
  const behind = e => {
    for (; e; e = e.parentElement) {
      const colour = rgb(getComputedStyle(e).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const e of document.querySelectorAll('main *, footer *, footer')) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
    if (!own || !e.getClientRects().length || e.tagName === 'OPTION') continue;
    const style = getComputedStyle(e);
    let back = behind(e);
    if (e.tagName === 'text') {
      const box = e.parentElement.querySelector('rect');
      const plot = e.closest('svg');
      if (plot.classList.contains('mesh')) back = rgb(getComputedStyle(box).fill);
    }
    const ink = rgb(e.tagName === 'text' ? style.fill : style.color);
    found.push([e.textContent.trim().slice(0, 40), ink.slice(0, 3), back.slice(0, 3)]);
  }
  return found;
})()
"""
