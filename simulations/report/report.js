"use strict";
// What lies under the pointer or the finger is written below its plot.
for (const figure of document.querySelectorAll("figure")) {
  const said = figure.querySelector("output");
  if (said === null) continue;
  for (const type of ["pointerover", "pointerdown"]) {
    figure.addEventListener(type, (event) => {
      const title = event.target.closest("g, rect")?.querySelector("title");
      if (title) said.textContent = title.textContent;
    });
  }
}
document.getElementById("download").addEventListener("click", () => {
  const data = document.getElementById("run").textContent;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([data], { type: "application/json" }));
  link.download = "run.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
});
