// Asks the browser for a passkey, and sends what it answers as an ordinary form.
"use strict";

const toBytes = (text) => {
  const plain = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
  return Uint8Array.from(plain, (letter) => letter.charCodeAt(0));
};
const toText = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes)))
  .replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

const withBytes = (options) => {
  options.challenge = toBytes(options.challenge);
  if (options.user) options.user.id = toBytes(options.user.id);
  for (const list of [options.excludeCredentials, options.allowCredentials]) {
    for (const key of list ?? []) key.id = toBytes(key.id);
  }
  return options;
};

const answerOf = (credential) => {
  const response = { clientDataJSON: toText(credential.response.clientDataJSON) };
  for (const name of ["attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (credential.response[name]) response[name] = toText(credential.response[name]);
  }
  return JSON.stringify({
    id: credential.id,
    rawId: toText(credential.rawId),
    type: credential.type,
    extensions: credential.getClientExtensionResults(),
    response,
  });
};

for (const form of document.querySelectorAll("form[data-passkey]")) {
  const problem = form.querySelector("[data-problem]");
  form.addEventListener("submit", async (event) => {
    if (form.elements.passkey.value) return;
    event.preventDefault();
    problem.hidden = true;
    try {
      const asked = await fetch(form.dataset.options, {
        method: "POST",
        body: new URLSearchParams({ csrf: form.elements.csrf.value }),
        redirect: "error",
      });
      if (!asked.ok) throw new Error(await asked.text());
      const options = { publicKey: withBytes((await asked.json()).publicKey) };
      const credential = await navigator.credentials[form.dataset.passkey](options);
      form.elements.passkey.value = answerOf(credential);
      form.submit();
    } catch (error) {
      problem.textContent = error.name === "NotAllowedError"
        ? "No passkey was given. Try again, or choose another way."
        : error.message;
      problem.hidden = false;
    }
  });
}
