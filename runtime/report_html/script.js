// SPDX-License-Identifier: Apache-2.0
"use strict";
const choice = document.getElementById("raster-choice");
const show = () => {
  for (const figure of document.querySelectorAll("figure.raster")) {
    figure.hidden = figure.id !== choice.value;
  }
};
choice.closest("p").hidden = false;
choice.addEventListener("change", show);
show();
