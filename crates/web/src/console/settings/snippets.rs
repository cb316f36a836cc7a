//! What a developer pastes to send a first event, for each SDK. The account's id is in them; the
//! secret is a place to fill in, so that a page can be shown to anybody.

/// One snippet.
#[derive(Debug, Clone)]
pub(super) struct Snippet {
    /// Unique on the page.
    pub(super) id: &'static str,
    /// Of what.
    pub(super) title: &'static str,
    /// Where it goes.
    pub(super) note: &'static str,
    /// The text.
    pub(super) text: String,
}

/// Every snippet, for an account and the names under which the planes are reached.
pub(super) fn all(account: &str, collect: &str, api: &str) -> Vec<Snippet> {
    let snippet = |id, title, note, text: &str| Snippet {
        id,
        title,
        note,
        text: text
            .replace("<ACCOUNT>", account)
            .replace("<COLLECT>", collect)
            .replace("<API>", api),
    };
    vec![
        snippet("web", "Web", "npm install clevertap-web-sdk", WEB),
        snippet("android", "Android", "In AndroidManifest.xml", ANDROID),
        snippet("ios", "iOS", "In Info.plist", IOS),
        snippet(
            "curl",
            "curl",
            "From a shell, with the passcode in PASSCODE",
            CURL,
        ),
        snippet("node", "Node.js", "From a server, Node 18 or later", NODE),
        snippet(
            "python",
            "Python",
            "From a server, with the standard library alone",
            PYTHON,
        ),
    ]
}

const WEB: &str = r#"import clevertap from "clevertap-web-sdk";

clevertap.privacy.push({ optOut: false });
clevertap.privacy.push({ useIP: false });
clevertap.init("<ACCOUNT>", "", "<COLLECT>");

clevertap.event.push("Product Viewed", { Name: "Casio watch", Price: 59.99 });"#;

const ANDROID: &str = r#"<application android:name="com.clevertap.android.sdk.Application">
  <meta-data android:name="CLEVERTAP_ACCOUNT_ID" android:value="<ACCOUNT>"/>
  <meta-data android:name="CLEVERTAP_TOKEN" android:value="the account's SDK token"/>
  <meta-data android:name="CLEVERTAP_PROXY_DOMAIN" android:value="<COLLECT>"/>
</application>"#;

const IOS: &str = r"<key>CleverTapAccountID</key>
<string><ACCOUNT></string>
<key>CleverTapToken</key>
<string>the account's SDK token</string>
<key>CleverTapProxyDomain</key>
<string><COLLECT></string>";

const CURL: &str = r#"curl "https://<API>/1/upload" \
  -H "X-CleverTap-Account-Id: <ACCOUNT>" \
  -H "X-CleverTap-Passcode: $PASSCODE" \
  -H "Content-Type: application/json; charset=utf-8" \
  -d '{"d":[{"identity":"client-19827239","type":"event","evtName":"Product Viewed",
       "evtData":{"Name":"Casio watch","Price":59.99}}]}'"#;

const NODE: &str = r#"const answer = await fetch("https://<API>/1/upload", {
  method: "POST",
  headers: {
    "X-CleverTap-Account-Id": "<ACCOUNT>",
    "X-CleverTap-Passcode": process.env.PASSCODE,
    "Content-Type": "application/json; charset=utf-8",
  },
  body: JSON.stringify({ d: [{
    identity: "client-19827239",
    type: "event",
    evtName: "Product Viewed",
    evtData: { Name: "Casio watch", Price: 59.99 },
  }] }),
});
console.log(await answer.json());"#;

const PYTHON: &str = r#"import json, os, urllib.request

body = {"d": [{
    "identity": "client-19827239",
    "type": "event",
    "evtName": "Product Viewed",
    "evtData": {"Name": "Casio watch", "Price": 59.99},
}]}
request = urllib.request.Request(
    "https://<API>/1/upload",
    data=json.dumps(body).encode(),
    headers={
        "X-CleverTap-Account-Id": "<ACCOUNT>",
        "X-CleverTap-Passcode": os.environ["PASSCODE"],
        "Content-Type": "application/json; charset=utf-8",
    },
)
print(json.load(urllib.request.urlopen(request)))"#;

#[cfg(test)]
mod tests {
    use super::all;

    #[test]
    fn every_snippet_names_the_account_and_its_plane() {
        let snippets = all("TEST-1", "collect.example.com", "api.example.com:8442");
        assert_eq!(snippets.len(), 6);
        for it in snippets {
            let is_of_server = matches!(it.id, "curl" | "node" | "python");
            let host = if is_of_server {
                "api.example.com:8442"
            } else {
                "collect.example.com"
            };
            assert!(
                it.text.contains("TEST-1") && it.text.contains(host),
                "{}",
                it.title
            );
            for left in ["<ACCOUNT>", "<COLLECT>", "<API>"] {
                assert!(!it.text.contains(left), "{}", it.title);
            }
        }
    }
}
