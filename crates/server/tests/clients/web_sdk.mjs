// Drives the published npm package `clevertap-web-sdk`, unmodified, in Debian's Chromium.
// A page on loopback loads the package; the SDK in it calls the server under test, which is another
// origin. Prints one JSON object: what was answered, and what the SDK still has to send.
// Environment: HOST (host:port of the collect plane), ACCOUNT, TOKEN, MODULES (the node_modules
// folder), MODE (script, fetch or encrypted).
import fs from "node:fs";
import http from "node:http";
import os from "node:os";
import path from "node:path";
import { createRequire } from "node:module";

const { HOST, ACCOUNT, TOKEN, MODULES, MODE } = process.env;
const { chromium } = createRequire(`${MODULES}/`)("playwright-core");
const PATIENCE_MS = 60_000;

const sdk = fs.readFileSync(`${MODULES}/clevertap-web-sdk/clevertap.js`);
const pages = http.createServer((request, response) => {
  const isScript = request.url.startsWith("/clevertap.js");
  response.writeHead(200, { "content-type": isScript ? "text/javascript" : "text/html; charset=utf-8" });
  response.end(isScript ? sdk : "<!doctype html><title>shop</title><script src=/clevertap.js></script>");
});
await new Promise((listening) => pages.listen(0, "127.0.0.1", listening));

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "browser-"));
const browser = await chromium.launchPersistentContext(folder, {
  executablePath: "/usr/bin/chromium",
  headless: true,
  // The certificate is of the installation's own authority.
  ignoreHTTPSErrors: true,
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
  ],
});
const page = browser.pages()[0] ?? (await browser.newPage());

// What the network has seen: every answer, and how many requests have none yet.
const answers = [];
const urls = [];
const answered = new Set();
let inFlight = 0;
let wake = () => {};
const isOurs = (request) => request.url().startsWith(`https://${HOST}/`);
page.on("request", (request) => {
  if (!isOurs(request)) return;
  inFlight += 1;
  urls.push(request.url());
  wake();
});
page.on("requestfailed", (request) => {
  if (!isOurs(request) || answered.has(request)) return;
  inFlight -= 1;
  answers.push({ url: request.url(), failure: request.failure().errorText });
  wake();
});
// Not when it has been read: the SDK does not read what it does not need.
page.on("response", (response) => {
  if (!isOurs(response.request())) return;
  inFlight -= 1;
  answered.add(response.request());
  answers.push({ url: response.url(), status: response.status() });
  wake();
});
const errors = [];
page.on("pageerror", (error) => errors.push(error.message));

/** Waits until a condition on what the network has seen holds. */
const until = (condition, what) => new Promise((done, failed) => {
  const late = setTimeout(() => failed(new Error(`${what}: ${JSON.stringify({ answers, inFlight })}`)), PATIENCE_MS);
  wake = () => {
    if (!condition()) return;
    clearTimeout(late);
    wake = () => {};
    done();
  };
  wake();
});
const tokens = () => answers.filter((it) => it.status === 200 && it.url.includes("type=data")).length;

// Requests that the SDK holds back and never sends: it keeps them among those that have no answer.
let held = 0;

/** Does something in the page; returns once the SDK has an answer to everything that it sent. */
const act = async (what, argument, tokensMore = 0) => {
  const goal = tokens() + tokensMore;
  await page.evaluate(what, argument);
  await page.waitForFunction((held) => {
    const kept = localStorage.getItem("WZRK_L");
    const waiting = kept ? JSON.parse(decodeURIComponent(kept)) : {};
    return Object.keys(waiting).length <= held;
  }, held, { timeout: PATIENCE_MS });
  await until(() => inFlight === 0 && tokens() >= goal, String(what));
};
const id = () => page.evaluate(() => clevertap.getCleverTapID());

await page.goto(`http://127.0.0.1:${pages.address().port}/shop?utm_source=news&utm_medium=email&utm_campaign=c1`);
await act(([host, account, token, mode]) => {
  clevertap.init(account, "", host, token, {
    antiFlicker: {},
    enableFetchApi: mode !== "script",
    enableEncryptionInTransit: mode === "encrypted",
  });
}, [HOST, ACCOUNT, TOKEN, MODE]);
await page.waitForFunction(() => clevertap.getCleverTapID(), undefined, { timeout: PATIENCE_MS });

await act(() => clevertap.event.push("Product Viewed", {
  "Product name": "Caf\u00e9 \u{1f600} / +1", Price: 59.99, Count: 3, flag: true, big: 9007199254740991,
  When: new Date(1700000000000), tags: ["a", "b"], nested: { a: { b: 1 } },
}));
const viewed = urls.at(-1);
await act(() => clevertap.event.push("Charged", {
  Amount: 300, "Payment mode": "Credit Card", "Charged ID": 24052013,
  Items: [{ Category: "Books", Quantity: 1 }, { Category: "Jewellery", Quantity: 2 }],
}));
await act(() => clevertap.profile.push({
  Site: { Plan: "gold", score: 10, DOB: new Date(0), Gender: "F", "Customer Type": "Platinum", "MSG-email": false },
}));
const anonymous = await id();

// The first person who signs in: what was known of the browser is hers. It has a push token.
await act(() => clevertap.onUserLogin.push({
  Site: { Name: "Jill", Identity: "u-42", Email: "jill@example.com", Phone: "+14155551234" },
}));
await act(() => clevertap.event.push("After Login", { k: 1 }));
const afterLogin = urls.at(-1);
await act(() => clevertap.handleIncrementValue("score", 5));
await act(() => clevertap.handleDecrementValue("score", 2));
await act(() => clevertap.setMultiValuesForKey("sizes", ["s", "m"]));
await act(() => clevertap.addMultiValueForKey("sizes", "l"));
await act(() => clevertap.removeMultiValuesForKey("sizes", ["s"]));
await act(() => clevertap.removeValueForKey("Plan"));
await page.evaluate(() => {
  const subscription = { endpoint: "push-token-1", keys: { p256dh: "p", auth: "a" }, browser: "Chrome" };
  localStorage.setItem("WZRK_PSD", encodeURIComponent(JSON.stringify(subscription)));
});

// Two more people. The token leaves the one before and comes to the one who is there now.
await act(() => clevertap.onUserLogin.push({ Site: { Name: "Other", Identity: "u-99" } }), undefined, 2);
await act(() => clevertap.event.push("As Other", { k: 2 }));
await act(() => clevertap.onUserLogin.push({ Site: { Name: "Third", Identity: "u-7" } }), undefined, 2);
await act(() => clevertap.event.push("As Third", { k: 3 }));
const third = await id();
// The first one comes back: the SDK has kept her id.
await act(() => clevertap.onUserLogin.push({ Site: { Name: "Jill", Identity: "u-42" } }), undefined, 2);
await act(() => clevertap.event.push("Jill again", { k: 4 }));
const back = await id();

// What is pushed while opted out stays in the SDK. Whatever comes all the same is not kept.
await act(() => clevertap.privacy.push({ optOut: true }));
const out = await id();
held = 1;
const sentBefore = urls.length;
await act(() => clevertap.event.push("While Opted Out"));
const sentWhileOut = urls.length - sentBefore;
const again = async (url, change = (it) => it) => {
  const changed = new URL(url);
  change(changed.searchParams);
  return (await browser.request.get(changed.href)).status();
};
const sneaked = await again(afterLogin, (it) => { it.set("gc", `${back}:OO`); it.set("rn", "999"); });
// Another tab has not heard of it: its requests are without the mark.
const otherTab = await again(afterLogin, (it) => { it.set("gc", back); it.set("rn", "998"); });
await act(() => clevertap.privacy.push({ optOut: false }));
await act(() => clevertap.event.push("Back In", { k: 5 }));
// An answer that was lost: the SDK sends the same again.
const resent = [await again(viewed), await again(afterLogin, (it) => it.set("tries", "2"))];

await act(() => clevertap.privacy.push({ useIP: true }));
await act(() => clevertap.event.push("With Address", {}));
const synced = await page.evaluate(() => {
  clevertap.setLogLevel(4);
  clevertap.defineVariable("greet", "hi");
  return clevertap.syncVariables().then(() => "ok", (error) => String(error));
});

const left = await page.evaluate(() => localStorage.getItem("WZRK_L"));
const statuses = answers.map((it) => it.failure ?? it.status);
console.log(JSON.stringify({
  statuses, errors, anonymous, third, back, out, sentWhileOut, sneaked, otherTab, resent, synced,
  left: Object.keys(left ? JSON.parse(decodeURIComponent(left)) : {}).length,
  isFallback: await page.evaluate(() => localStorage.getItem("CT_EIT_FALLBACK") === "true"),
}));
await browser.close();
pages.close();
fs.rmSync(folder, { recursive: true, force: true });
