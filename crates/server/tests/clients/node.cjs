// Drives the published npm package `clevertap`, unmodified, and prints one JSON line a call.
// Environment: URL (https://host:port/1), ACCOUNT, PASSCODE, MODULES (the node_modules folder), and
// NODE_EXTRA_CA_CERTS for the local authority.
const CleverTap = require(`${process.env.MODULES}/clevertap`);

const client = CleverTap.init(process.env.ACCOUNT, process.env.PASSCODE, CleverTap.REGIONS.INDIA);
client.api.apiEndpoint = process.env.URL;

// Every record that was uploaded, in order.
const sent = [];

const show = async (label, name, ...words) => {
  if (["upload", "uploadDeviceTokens"].includes(name)) sent.push(...words[0]);
  const answer = await client[name](...words).catch((error) => ({ thrown: String(error) }));
  console.log(JSON.stringify([label, answer]));
};

const ts = 1790000000;
const range = { event_name: "Product Viewed", from: 20260901, to: 20261031 };
const stored = async (evtName) => {
  const always = { event_name: evtName, from: 20200101, to: 20991231 };
  await show(`stored ${evtName}`, "events", always, { batchSize: 100 });
};

(async () => {
  await show("upload", "upload", [
    { type: "event", identity: "u1", ts, evtName: "Product Viewed", evtData: { Name: "Casio", Price: 59.99, when: `$D_${ts}` } },
    { type: "profile", identity: "u1", ts, profileData: { Name: "Peter", Email: "peter@foo.com", Phone: "+14155551234", Age: 30, tags: { $add: ["a", "b"] }, score: { $incr: 5 } } },
    { type: "event", objectId: "-2ce3cca260664f70b82b1c6bb505f462", ts, evtName: "Charged", evtData: { Amount: 300, Currency: "USD", "Payment mode": "Credit Card", Items: [{ Category: "books", Quantity: 1 }] } },
  ]);
  const many = Array.from({ length: 230 }, (_, n) => ({ type: "event", identity: `u${n}`, ts: ts + n, evtName: "Ping", evtData: { n } }));
  await show("many", "upload", many);
  await show("bad", "upload", [
    { type: "event", identity: "u1", ts, evtName: "Web Page Viewed", evtData: {} },
    { type: "profile", identity: "u1", ts, profileData: { Email: "no email" } },
    { type: "event", identity: "u1", ts, evtName: "Good", evtData: {} },
  ]);
  await show("tokens", "uploadDeviceTokens", [{ type: "token", objectId: "__g123", tokenData: { id: "frfrgrgrgrg", type: "fcm" } }]);
  for (const name of ["Product Viewed", "Charged", "Ping", "Web Page Viewed", "Good"]) await stored(name);
  await show("token", "profile", { objectId: "__g123" });
  await show("profile", "profile", { identity: "u1" });
  await show("profile by email", "profile", { email: "peter@foo.com" });
  await show("profile by object", "profile", { objectId: "-2ce3cca260664f70b82b1c6bb505f462" });
  await show("profiles", "profiles", range, { batchSize: 50 });
  await show("events", "events", { ...range, event_name: "Ping" }, { batchSize: 100 });
  await show("profiles count", "getProfilesCount", { ...range, event_name: "Ping" });
  await show("events count", "getEventsCount", { ...range, event_name: "Ping" });
  const all = { event_name: "Ping", from: 20260901, to: 20261031 };
  await show("now", "realTimeCounts", { user_type: true });
  await show("top", "topPropertyCounts", { ...all, groups: { n: { property_type: "event_properties", name: "n", top_n: 2, order: "asc" } } });
  await show("trends", "trends", { ...all, from: 20251224, to: 20261225, unique: false, groups: { days: { trend_type: "daily" } } });
  await show("unknown", "trends", { ...all, event_name: "Nothing", groups: { days: { trend_type: "daily" } } });
  await show("reports", "getMessageReports", { from: "20260901", to: "20261031" });
  for (const action of client.TARGET_ACTIONS) {
    const payload = { id: 1, name: "x", where: { event_name: "Ping" }, content: { title: "a", body: "b" }, devices: ["android"], from: 20260901, to: 20261031 };
    await show(`targets ${action}`, "targets", action, payload);
  }
  await show("phone", "upload", [{ type: "profile", identity: "u5", profileData: { Phone: "+919213231415", Name: "Five" } }]);
  await show("unsubscribe", "subscribe", { d: [{ type: "phone", value: "+919213231415", status: "Unsubscribe" }] });
  await show("unsubscribed", "profile", { identity: "u5" });
  await show("disassociate", "disassociate", { d: [{ type: "phone", value: "+919213231415" }] });
  await show("disassociated", "profile", { identity: "u5" });
  await show("device", "upload", [{ type: "event", identity: "u6", objectId: "__gdevice6", ts, evtName: "Opened", evtData: {} }]);
  await stored("Opened");
  await show("demerge", "demerge", { identities: ["u6"] });
  await show("later", "upload", [{ type: "event", objectId: "__gdevice6", evtName: "Closed", evtData: {} }]);
  await stored("Closed");
  await show("demerged", "profile", { objectId: "__gdevice6" });
  // The package sends nothing of this option: it knows no upload that only tries.
  await show("dry", "upload", [{ type: "event", identity: "u7", ts, evtName: "Dry", evtData: {} }], { dryRun: 1 });
  await stored("Dry");
  const methods = Object.getOwnPropertyNames(Object.getPrototypeOf(client));
  console.log(JSON.stringify(["methods", methods.filter((name) => typeof client[name] === "function").sort()]));
  console.log(JSON.stringify(["sent", sent]));
  await show("delete", "delete", { identity: ["u1"] });
  await show("profile after", "profile", { identity: "u1" });
  await show("events after", "events", range, { batchSize: 100 });
})();
