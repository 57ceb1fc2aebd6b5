// Takes the README's pictures of the page: node pictures.mjs FOLDER

import { join } from "node:path";
import { does, figures, fill } from "./person.mjs";
import { DESK, PHONE, browser, open, program } from "./program.mjs";

const folder = process.argv[2] ?? ".";
const chromium = await browser();
const twin = await program({ world: "" });
try {
  const desk = await open(chromium, twin.page, DESK);
  await does(desk, "#light-on");
  await does(desk, "[data-jog='FORWARD-0.01']");
  // Through the focus, from below to above and back.
  for (const direction of ["DOWN", "DOWN", "clear", "UP", "UP", "UP", "UP", "DOWN", "DOWN"]) {
    if (direction === "clear") await desk.click("text=Clear trace");
    else await does(desk, `[data-jog='${direction}-100']`);
    for (let n = 0; n < 2; n += 1) await figures(desk);
  }
  await desk.evaluate(() => scrollTo(0, 0));
  await desk.screenshot({ path: join(folder, "page-desk.jpg"), quality: 80 });
  await desk.context().close();
  const phone = await open(chromium, twin.page, PHONE);
  await fill(phone, 8);
  await phone.click("#start");
  await phone.waitForSelector("#arriving li:nth-child(5)");
  await phone.waitForFunction(() => [...document.querySelectorAll("#arriving img")].every((image) => image.complete));
  await phone.evaluate(() => scrollTo(0, document.getElementById("run").offsetTop - 420));
  await phone.screenshot({ path: join(folder, "page-phone.jpg"), quality: 80 });
  await phone.context().close();
} finally {
  await twin.end();
  await chromium.close();
}
