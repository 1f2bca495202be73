// Does in Chromium what a job on standard input asks: see browser.py.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const { page: url, steps, dark, size, chromium: executablePath, modules } = JSON.parse(readFileSync(0, "utf-8"));
const { chromium } = createRequire(`${modules}/x`)("playwright-core");
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"] });
const context = await browser.newContext({ viewport: { width: size[0], height: size[1] }, colorScheme: dark ? "dark" : "light" });
const page = await context.newPage();
const requests = [];
const errors = [];
const values = [];
page.on("request", (request) => /^(file|blob|data):/.test(request.url()) || requests.push(request.url()));
page.on("pageerror", (error) => errors.push(error.message));
try {
  await page.goto(url);
  const session = await context.newCDPSession(page);
  for (const { wait, run, key, shot, mouse = [], touch = [] } of steps) {
    if (wait) await page.waitForFunction(() => ["done", "failed"].includes(document.body.dataset.state), null, { timeout: 120000 });
    if (run) values.push(await page.evaluate(run));
    if (key) await page.keyboard.press(key);
    for (const [act, ...numbers] of mouse) await page.mouse[act](...numbers);
    for (const [type, ...points] of touch) {
      await session.send("Input.dispatchTouchEvent", { type, touchPoints: points.map(([x, y], id) => ({ x, y, id })) });
    }
    if (shot) await page.screenshot({ path: shot });
  }
  console.log(JSON.stringify({ requests, errors, values }));
} finally {
  await browser.close();
}
