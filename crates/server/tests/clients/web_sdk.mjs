// Drives the published npm package `clevertap-web-sdk`, unmodified, in Debian's Chromium.
// A page on loopback loads the package; the SDK in it calls the server under test, which is another
// origin. Prints one JSON object: what was answered, and what the SDK made of it.
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
// Three seconds after its start the SDK sends again what it has not sent yet, and two minutes after a page it
// says that the page is still open. Both could be anywhere in this story, and are left out: what was not sent is
// sent where the SDK is told to.
await page.addInitScript(() => {
  for (const [timer, never] of [["setInterval", 3_000], ["setTimeout", 120_000]]) {
    const start = window[timer];
    window[timer] = (what, ms, ...rest) => {
      if (ms !== never) return start(what, ms, ...rest);
      window.leftOut = { ...window.leftOut, [timer]: what };
      return 0;
    };
  }
});

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
const statusesOf = (status) => answers.filter((it) => it.status === status).length;
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
const origin = `http://127.0.0.1:${pages.address().port}`;
const open = (path) => page.goto(`${origin}${path}`);
const start = (customId) => act(([host, account, token, mode, customId]) => {
  clevertap.init(account, "", host, token, {
    antiFlicker: {},
    customId,
    enableFetchApi: mode !== "script",
    enableEncryptionInTransit: mode === "encrypted",
  });
}, [HOST, ACCOUNT, TOKEN, MODE, customId]);
/** Another browser, as far as a page can tell. */
const forget = async () => {
  await page.evaluate(() => localStorage.clear());
  await browser.clearCookies();
};

await open("/shop?utm_source=news&utm_medium=email&utm_campaign=c1");
await start(null);
await page.waitForFunction(() => clevertap.getCleverTapID(), undefined, { timeout: PATIENCE_MS });
await page.evaluate(() => clevertap.setLibrary("Flutter", 20300));

await act(() => clevertap.event.push("Product Viewed", {
  "Product name": "Caf\u00e9 \u{1f600} / +1", Price: 59.99, Count: 3, flag: true, big: 9007199254740991,
  When: new Date(1700000000000), tags: ["a", "b"], nested: { a: { b: 1 } },
}));
const viewed = urls.at(-1);
// As if two minutes had gone by.
await act(() => leftOut.setTimeout());
const pinged = answers.filter((it) => it.url.includes("type=ping")).map((it) => it.status);
await act(() => clevertap.event.push("Charged", {
  Amount: 300, "Payment mode": "Credit Card", "Charged ID": 24052013,
  Items: [{ Category: "Books", Quantity: 1 }, { Category: "Jewellery", Quantity: 2 }],
}));
// Twice in one second.
await act(() => {
  clevertap.event.push("Clicked");
  clevertap.event.push("Clicked");
});
await act(() => clevertap.profile.push({
  Site: {
    Plan: "gold", score: 10, DOB: new Date(0), Gender: "F", "Customer Type": "Platinum", "MSG-email": false,
    Tier: "$E_gold", Address: { City: "Pune", Floors: [1, 2] },
  },
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
await act(() => clevertap.addMultiValuesForKey("sizes", ["xl", "m"]));
await act(() => clevertap.removeMultiValueForKey("sizes", "l"));
await act(() => clevertap.setMultiValuesForKey("lucky", [7, 21]));
await act(() => clevertap.removeValueForKey("Plan"));
await act(() => {
  const at = { coords: { latitude: 19.07, longitude: 72.87 } };
  navigator.geolocation.getCurrentPosition = (found) => found(at);
  clevertap.getLocation();
});
const shown = { msgId: "1700000000_20261001", pivotId: "wzrk_default", kv: { wzrk_bc: "x", other: "not sent" } };
await act((shown) => clevertap.renderNotificationViewed(shown), shown);
await act((shown) => clevertap.renderNotificationClicked({ ...shown, wzrk_slideNo: 2 }), shown);
await act(() => {
  history.pushState(null, "", "/cart?utm_source=ad&utm_medium=cpc&utm_campaign=c2");
  clevertap.pageChanged();
});
await page.evaluate(() => {
  clevertap.setOffline(true);
  clevertap.event.push("Offline", { k: 6 });
});
await act(() => clevertap.setOffline(false));
await page.evaluate(() => { window.greet = clevertap.defineVariable("greet", "hi"); });
await act(() => clevertap.fetchVariables(() => { window.fetched = true; }));
await page.waitForFunction(() => window.fetched, undefined, { timeout: PATIENCE_MS });
const variables = await page.evaluate(() => [clevertap.getVariables(), greet.getValue()]);
// What the browser's push service would answer.
await act(() => {
  const keys = { p256dh: "p", auth: "a" };
  const subscription = { endpoint: "https://push.test/send/push-token-1", expirationTime: null, keys };
  const registration = { pushManager: { subscribe: async () => subscription } };
  const workers = { register: async () => registration, ready: Promise.resolve(registration) };
  Object.defineProperty(navigator, "serviceWorker", { value: workers });
  clevertap.notifications.setUpWebPushNotifications(undefined, "/worker.js");
}, undefined, 1);

// Two more people. The token leaves the one before and comes to the one who is there now.
await act(() => clevertap.onUserLogin.push({ Site: { Name: "Other", Identity: "u-99" } }), undefined, 2);
await act(() => clevertap.event.push("As Other", { k: 2 }));
await act(() => clevertap.onUserLogin.push({
  Facebook: {
    id: "f-7", name: "Third", email: "third@example.com", gender: "male", relationship_status: "Married",
    education: [{ type: "Graduate School" }], work: [{}], birthday: "08/15/1947",
  },
}), undefined, 2);
await act(() => clevertap.event.push("As Third", { k: 3 }));
await act(() => clevertap.getLocation(12.97, 77.59));
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
  return clevertap.syncVariables().then(() => "ok", (error) => String(error));
});

// The browser forgets who uses it. Now the SDK sends what it has held back, too, with the mark.
held = 0;
const sentBeforeClear = urls.length;
await act(() => {
  clevertap.clear();
  clevertap.event.push("After Clear", { k: 9 });
});
const afterClear = await id();
const sentAfterClear = urls.length - sentBeforeClear;

// A page that says what the browser is called.
await forget();
await open("/shop");
await start("Shop:User(1)!@$-X");
await act(() => clevertap.event.push("By Custom Id", { k: 7 }));
const custom = await id();

// The page on which somebody who came by a link in an e-mail says what to get.
await open("/choose?e=YUBiLmNj&p=eyJwIjoxfQ%3D%3D&page_type=global");
await start(null);
const chosen = () => answers.filter((it) => it.url.startsWith(`https://${HOST}/e?`)).length;
/** Does something in the page that asks or says one thing about e-mails. */
const choose = async (what) => {
  const goal = chosen() + 1;
  await page.evaluate(what);
  await until(() => inFlight === 0 && chosen() >= goal, String(what));
};
await choose(() => {
  $WZRK_WR.setSubscriptionGroups([{ name: "News", isUnsubscribed: false }]);
  $WZRK_WR.getEmail(true, true);
});
// A script says that there are none; who reads JSON is told nothing.
if (MODE === "script" || statusesOf(402) > 0) {
  await page.waitForFunction(() => $WZRK_WR.getSubscriptionGroups().length === 0, undefined, { timeout: PATIENCE_MS });
}
const groups = await page.evaluate(() => $WZRK_WR.getSubscriptionGroups());
await choose(() => $WZRK_WR.subEmail(true));
await choose(() => $WZRK_WR.unSubEmail(true));
await choose(() => $WZRK_WR.changeSubscriptionGroups(true, [{ name: "News", isUnsubscribed: true }]));

// A page as the vendor's guide has it: what happens before the SDK is there waits in arrays.
await forget();
await page.addInitScript(([host, account, token, mode]) => {
  window.clevertap = {
    event: [], profile: [], onUserLogin: [], notifications: [], privacy: [],
    account: [{ id: account }, "", host, token],
    enableFetchApi: mode !== "script", enableEncryptionInTransit: mode === "encrypted",
  };
  clevertap.privacy.push({ optOut: false });
  clevertap.privacy.push({ useIP: false });
  clevertap.onUserLogin.push({ Site: { Name: "Early", Identity: "u-5" } });
  clevertap.event.push("Before Load", { k: 8 });
}, [HOST, ACCOUNT, TOKEN, MODE]);
await open("/shop");
await act(() => {});
const early = await id();

const statuses = answers.map((it) => it.failure ?? it.status);
console.log(JSON.stringify({
  origin, statuses, errors, anonymous, third, back, out, afterClear, custom, early, variables, sentWhileOut,
  sentAfterClear, sneaked, otherTab, resent, synced, groups, pinged,
  isFallback: await page.evaluate(() => localStorage.getItem("CT_EIT_FALLBACK") === "true"),
}));
await browser.close();
pages.close();
fs.rmSync(folder, { recursive: true, force: true });
