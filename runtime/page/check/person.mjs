// What a person does on the page.

import assert from "node:assert/strict";

/** The figures as the page shows them, once a picture has come after now. */
export async function figures(page) {
  await page.waitForSelector(".trace polyline", { state: "attached" });
  const read = () => page.evaluate(() => ["sharpness", "brightness"].map((id) => document.getElementById(id).textContent));
  // Two more pictures: the one that is being made may be from before.
  await page.evaluate(() => new Promise((done) => {
    let left = 3;
    const observer = new MutationObserver(() => { if (--left === 0) { observer.disconnect(); done(); } });
    observer.observe(document.querySelector(".trace polyline"), { attributes: true });
  }));
  const [sharpness, brightness] = (await read()).map((text) => Number(text.replace(/[^\d.-]/g, "")));
  return { sharpness, brightness };
}

/** Does something, and waits until the instrument has said that it is done. */
export async function does(page, selector) {
  const [answer] = await Promise.all([
    page.waitForResponse((response) => response.url().includes("/api/commands/")), page.click(selector),
  ]);
  assert.equal(answer.status(), 200, await answer.text());
}

/** Fills the form for so many frames. */
export async function fill(page, frames, acquisition = "a1") {
  await page.click("#tabs a[href='#acquire']");
  for (const [name, value] of Object.entries({
    sample_project: "test", sample_id: "S 1", acq_id: acquisition, sample_operator: "Ada", acq_minimum_mesh: "20",
    acq_celltype: "300", frames, volume: "6", flow: "3", settle: "0.5",
  })) await page.fill(`#field-${name}`, String(value));
}
