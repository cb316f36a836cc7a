// Drives the published npm package `clevertap`, unmodified, and prints one JSON line a call.
// Environment: URL (https://host:port/1), ACCOUNT, PASSCODE, MODULES (the node_modules folder), and
// NODE_EXTRA_CA_CERTS for the local authority.
const CleverTap = require(`${process.env.MODULES}/clevertap`);

const client = CleverTap.init(process.env.ACCOUNT, process.env.PASSCODE, CleverTap.REGIONS.INDIA);
client.api.apiEndpoint = process.env.URL;

const show = async (label, name, ...words) => {
  const answer = await client[name](...words).catch((error) => ({ thrown: String(error) }));
  console.log(JSON.stringify([label, answer]));
};

const ts = 1790000000;
const range = { event_name: "Product Viewed", from: 20260901, to: 20261031 };

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
  await show("profile", "profile", { identity: "u1" });
  await show("profile by email", "profile", { email: "peter@foo.com" });
  await show("profile by object", "profile", { objectId: "-2ce3cca260664f70b82b1c6bb505f462" });
  await show("profiles", "profiles", range, { batchSize: 50 });
  await show("events", "events", { ...range, event_name: "Ping" }, { batchSize: 100 });
  await show("profiles count", "getProfilesCount", { ...range, event_name: "Ping" });
  await show("events count", "getEventsCount", { ...range, event_name: "Ping" });
  await show("delete", "delete", { identity: ["u1"] });
  await show("profile after", "profile", { identity: "u1" });
  await show("events after", "events", range, { batchSize: 100 });
})();
