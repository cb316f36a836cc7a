//! Fields of requests: paths, hosts, pages, who stands behind a proxy, encodings, keys. Both files of the
//! server stand alone, so that nothing else of it has to be built.

use collect::{Refusal, cleaned_method, cleaned_path, fuzzing};
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use governance::{AccountRules, Network};
use http::{HeaderMap, HeaderValue, Request, Uri, header};
use model::AccountId;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::LazyLock;
use url::Url;

#[path = "../../crates/server/src/listen/address.rs"]
mod address;
#[path = "../../crates/server/src/listen/proxies.rs"]
mod proxies;

use address::Names;

/// Bytes of a path that are kept.
const PATH_BYTES_MAX: usize = 128;
/// Characters of a method that are kept.
const METHOD_CHARS_MAX: usize = 16;
/// Characters of an `Idempotency-Key`.
const KEY_CHARS_MAX: usize = 255;
/// Bytes that a body may unpack to.
const UNPACKED_BYTES_MAX: usize = 64 * 1024;
/// The names in the certificates.
const COVERED: [&str; 2] = ["localhost", "*.shop.example"];
/// The one domain whose pages may send.
const DOMAIN: &str = "shop.example";

const ORIGIN: &str = "origin";
const REFERER: &str = "referer";
const FORWARDED_FOR: &str = "x-forwarded-for";
const ENCODING: &str = "content-encoding";
const KEY: &str = "idempotency-key";

static ANYBODYS: LazyLock<AccountRules> = LazyLock::new(crate::stored::rules);
static OWN: LazyLock<AccountRules> = LazyLock::new(|| {
    let mut rules = crate::stored::rules();
    rules.web_domains.insert(Box::from(DOMAIN));
    rules
});

/// The first byte says which field the rest is.
pub(crate) fn http(input: &[u8]) {
    let Some((field, rest)) = input.split_first() else {
        return;
    };
    match field % 6 {
        0 => path(rest),
        1 => host(rest),
        2 => page(rest),
        3 => forwarded(rest),
        4 => encoding(rest),
        _ => key(rest),
    }
}

/// What is kept of a path is short and printable. Nothing of it follows from what stands behind a `=`, no
/// segment of it is an address or has something like a passcode in it, and behind `link` stands no token,
/// however often any of that is escaped. Cleaned once more it is the same.
fn path(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let method = cleaned_method(&text);
    let is_legal = (1..=METHOD_CHARS_MAX).contains(&method.len())
        && method.bytes().all(|it| it.is_ascii_uppercase());
    assert!(&*method == "-" || (is_legal && *method == *text));

    let cleaned = cleaned_path(&text);
    assert!(cleaned.len() <= PATH_BYTES_MAX && cleaned.bytes().all(|it| it.is_ascii_graphic()));
    // Of what is cut the last segment may be half an escape.
    let is_cut = cleaned.len() == PATH_BYTES_MAX;
    assert!(is_cut || cleaned_path(&cleaned) == cleaned);
    if let Some((before, _)) = text.split_once('=') {
        assert_eq!(cleaned_path(&format!("{before}=")), cleaned);
    }
    let mut is_after_link = false;
    let mut segments = cleaned.split('/').peekable();
    while let Some(segment) = segments.next() {
        let is_whole = !is_cut || segments.peek().is_some();
        let meant = unescaped(segment.as_bytes());
        assert!(!meant.contains(&b'='), "a value is kept: {cleaned}");
        let is_address =
            matches!(meant.as_slice(), [_, between @ .., _] if between.contains(&b'@'));
        assert!(!is_address, "an address is kept: {cleaned}");
        let words = meant.split(|it| !it.is_ascii_alphanumeric() && *it != b'-');
        for word in words.filter(|it| !it.is_empty()) {
            let is_hidden = !is_after_link || segment == "(token)";
            assert!(is_hidden || !is_whole, "a token is kept: {cleaned}");
            is_after_link |= word.eq_ignore_ascii_case(b"link");
        }
        let mut groups = meant.split(|it| *it == b'-').map(<[u8]>::len);
        let is_secret = segment.len() == 35 && groups.all(|it| it == 8) && is_base32(&meant);
        assert!(!is_secret, "a secret is kept: {cleaned}");
    }
}

fn is_base32(text: &[u8]) -> bool {
    let is_digit = |it: &u8| it.is_ascii_alphabetic() || matches!(it, b'2'..=b'7' | b'-');
    text.iter().all(is_digit)
}

/// A text with its percent-escapes undone, and those that come of that.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let (mut once, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some((first, after)) = rest.split_first() {
        let digits = match after {
            [high, low, ..] if *first == b'%' => digit(*high).zip(digit(*low)),
            _ => None,
        };
        match digits {
            Some((high, low)) => {
                once.push(high * 16 + low);
                rest = &after[2..];
            }
            None => {
                once.push(*first);
                rest = after;
            }
        }
    }
    if once.len() == text.len() {
        once
    } else {
        unescaped(&once)
    }
}

fn digit(byte: u8) -> Option<u8> {
    let value = char::from(byte).to_digit(16)?;
    u8::try_from(value).ok()
}

/// A request that passes names a host that its TLS session asked for, or one of ours where that is one too:
/// a name of the certificates, or one that ends at a dot with a domain of the protocol; or an address, where
/// the session asked for none. Two that it names are
/// one. Case, port and a last dot make no difference. The lines are the host, the target, and what the
/// session asked for.
fn host(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.split('\n');
    let mut line = || lines.next().unwrap_or_default();
    let (named, target, asked) = (line(), line(), line());
    if let Some(passes) = lets_in(asked, target, named) {
        let shouted = lets_in(asked, target, &named.to_ascii_uppercase());
        assert_eq!(shouted, Some(passes), "{text}");
        assert!(!passes || is_for_us(asked, target, named), "{text}");
    }
    let is_name = |it: u8| it.is_ascii_alphanumeric() || it == b'-' || it == b'.';
    if !asked.is_empty() && asked.bytes().all(is_name) && !asked.ends_with('.') {
        for named in [asked.to_owned(), format!("{asked}.:8443")] {
            assert_eq!(lets_in(asked, "/", &named), Some(true), "{named}");
        }
    }
    if let Some(bytes) = bytes.first_chunk::<16>() {
        let v4 = Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]);
        for address in [v4.to_string(), format!("[{}]", Ipv6Addr::from(*bytes))] {
            for named in [format!("{address}:8443"), address] {
                assert_eq!(lets_in("", "/", &named), Some(true), "{named}");
            }
        }
    }
    if let Some(told) = wire::mobile_sdk::authority(named) {
        assert!(told == named && told.len() <= 261);
        assert!(!told.contains(['/', '@', '?', '#', '\\', '"', ' ']));
    }
}

/// Whether a request passes; none when there can be no such request.
fn lets_in(asked: &str, target: &str, named: &str) -> Option<bool> {
    let asked = (!asked.is_empty()).then(|| asked.to_ascii_lowercase().into_boxed_str());
    let names = Names {
        asked,
        covered: COVERED.map(Box::from).into(),
    };
    let mut request = Request::builder().uri(target).body(()).ok()?;
    if !named.is_empty() {
        let named = HeaderValue::from_bytes(named.as_bytes()).ok()?;
        request.headers_mut().insert(header::HOST, named);
    }
    Some(names.judge(&request).is_none())
}

/// Whether every host that a request names is one that it may name, and they are one.
fn is_for_us(asked: &str, target: &str, named: &str) -> bool {
    let uri = target.parse::<Uri>().ok();
    let in_target = uri.as_ref().and_then(Uri::authority);
    let in_target = in_target.map(|it| it.as_str());
    let hosts: Vec<[String; 2]> = in_target
        .into_iter()
        .chain(Some(named).filter(|it| !it.is_empty()))
        .map(readings)
        .collect();
    match hosts.as_slice() {
        [] => false,
        [only] => only.iter().any(|it| is_ours(asked, it)),
        [first, others @ ..] => first.iter().any(|it| {
            let is_theirs = |other: &[String; 2]| other.contains(it);
            is_ours(asked, it) && others.iter().all(is_theirs)
        }),
    }
}

/// What a host may be, in lower case: all of it, or what stands before its port.
fn readings(host: &str) -> [String; 2] {
    let whole = host.to_ascii_lowercase();
    let bare = whole.trim_end_matches(|it: char| it.is_ascii_digit());
    let bare = bare.strip_suffix(':').unwrap_or(&whole);
    [whole.as_str(), bare].map(|it| it.trim_end_matches('.').to_owned())
}

/// Whether a name is one for which a request may be meant, by its labels.
fn is_ours(asked: &str, name: &str) -> bool {
    let is_covered = |name: &str| {
        let labels: Vec<&str> = name.split('.').collect();
        match labels.as_slice() {
            ["localhost"] => true,
            [label, "shop", "example"] => !label.is_empty(),
            _ => false,
        }
    };
    let is_protocols = |name: &str| {
        let labels: Vec<&str> = name.split('.').collect();
        matches!(
            labels.as_slice(),
            [.., "clevertap" | "clevertap-prod" | "wzrkt", "com"]
        )
    };
    let is_known = |name: &str| is_covered(name) || is_protocols(name);
    if !asked.is_empty() {
        let asked = asked.to_ascii_lowercase();
        return name == asked || (is_known(&asked) && is_known(name));
    }
    let address = name.trim_start_matches('[').trim_end_matches(']');
    is_known(name) || address.parse::<IpAddr>().is_ok()
}

/// A page may send whose host is an allowed domain, or its `www.`, as a browser reads it. An origin counts
/// more than an address, two count for nothing, and an account without domains takes any. The first line is
/// the origin, the rest the address.
fn page(bytes: &[u8]) {
    let (origin, referer) = cut(bytes);
    if HeaderValue::from_bytes(origin).is_err() {
        return;
    }
    let takes = |name: &'static str, value: &[u8]| {
        let taken = fuzzing::takes_page(&OWN, &headers([(name, value)]));
        let value = HeaderValue::from_bytes(value);
        let is_ours = value.is_ok_and(|it| it.to_str().is_ok_and(is_of_domain));
        assert_eq!(taken, is_ours, "{name}");
        taken
    };
    let is_taken = takes(ORIGIN, origin);
    assert_eq!(takes(REFERER, origin), is_taken);
    let both = headers([(ORIGIN, origin), (REFERER, referer)]);
    assert_eq!(fuzzing::takes_page(&OWN, &both), is_taken);
    let two = headers([(ORIGIN, origin), (ORIGIN, origin)]);
    assert!(!fuzzing::takes_page(&OWN, &two));
    assert!(fuzzing::takes_page(&ANYBODYS, &two));

    let text = String::from_utf8_lossy(referer);
    if let Ok(url) = Url::parse(&format!("https://{text}")) {
        let host = url.host_str().unwrap_or_default();
        let host = host.strip_suffix('.').unwrap_or(host);
        let is_ours = host.strip_prefix("www.").unwrap_or(host) == DOMAIN;
        let is_bare = !url.authority().contains('@');
        let origin = url.origin().ascii_serialization();
        assert_eq!(takes(ORIGIN, origin.as_bytes()), is_ours, "{url}");
        let is_taken = takes(REFERER, url.as_str().as_bytes());
        assert_eq!(is_taken, is_ours && is_bare, "{url}");
    }
}

/// Whether an address begins with a scheme and the domain, and nothing of a name stands around it.
fn is_of_domain(address: &str) -> bool {
    let address = address.to_ascii_lowercase();
    let Some((_, rest)) = address.split_once("://") else {
        return false;
    };
    let rest = rest.strip_prefix("www.").unwrap_or(rest);
    let Some(rest) = rest.strip_prefix(DOMAIN) else {
        return false;
    };
    let rest = rest.strip_prefix('.').unwrap_or(rest);
    let rest = match rest.strip_prefix(':') {
        Some(port) => port.trim_start_matches(|it: char| it.is_ascii_digit()),
        None => rest,
    };
    rest.is_empty() || rest.starts_with(['/', '?', '#', '\\'])
}

/// The client behind proxies is the last that was forwarded for and is none of them: whoever it says it is
/// itself, and whatever it writes there. The first line names the proxies, each other one is a header.
fn forwarded(bytes: &[u8]) {
    let (first, rest) = cut(bytes);
    let proxies: Vec<Network> = String::from_utf8_lossy(first)
        .split(',')
        .filter_map(|it| it.parse().ok())
        .collect();
    for network in &proxies {
        assert_eq!(network.to_string().parse(), Ok(*network));
    }
    let values: Vec<&[u8]> = rest
        .split(|it| *it == b'\n')
        .filter(|it| HeaderValue::from_bytes(it).is_ok())
        .collect();
    let client = |values: &[&[u8]]| {
        let all = headers(values.iter().map(|it| (FORWARDED_FOR, *it)));
        proxies::client(&all, &proxies)
    };
    let hops = values.iter().flat_map(|it| it.split(|it| *it == b','));
    let hops: Vec<Option<IpAddr>> = hops.map(forwarded_for).collect();
    let is_proxys = |hop: Option<IpAddr>| {
        hop.is_some_and(|address| proxies.iter().any(|it| it.contains(address)))
    };
    let last = hops.iter().rev().find(|it| !is_proxys(**it));
    let found = client(&values);
    assert_eq!(found, last.copied().flatten());

    if let (Some(_), Some((first, others))) = (found, values.split_first()) {
        let written: [&[u8]; 3] = [b"\xe9", b"unknown", b"198.51.100.66"];
        for written in written {
            let own = [&[written][..], &values].concat();
            assert_eq!(client(&own), found, "a header of its own");
            let longer = [written, *first].join(&b", "[..]);
            let own = [&[&*longer][..], others].concat();
            assert_eq!(client(&own), found, "words before the proxy's");
        }
    }
}

fn forwarded_for(hop: &[u8]) -> Option<IpAddr> {
    let hop = std::str::from_utf8(hop).ok()?.trim();
    let within = |hop: &'_ str, begin, end| {
        let hop = hop.strip_prefix(begin)?.strip_suffix(end)?;
        Some(hop.to_owned())
    };
    let hop = within(hop, '"', '"').unwrap_or_else(|| hop.to_owned());
    let alone = hop.parse::<IpAddr>().ok();
    let with_port = || hop.parse::<SocketAddr>().ok().map(|it| it.ip());
    let bracketed = || within(&hop, '[', ']')?.parse().ok().map(IpAddr::V6);
    let address = alone.or_else(with_port).or_else(bracketed)?;
    Some(address.to_canonical())
}

/// A body of a known encoding, named once in whatever case, unpacks to what was packed, in whatever pieces
/// it comes, and never to more than it may. The first line is the encoding, the rest the body.
fn encoding(bytes: &[u8]) {
    let (name, body) = cut(bytes);
    if HeaderValue::from_bytes(name).is_err() {
        return;
    }
    let piece = usize::from(body.first().copied().unwrap_or_default());
    let unpacked = |names: &[&[u8]], body: &[u8], piece: usize| {
        let headers = headers(names.iter().map(|it| (ENCODING, *it)));
        fuzzing::unpacked(&headers, body, piece, UNPACKED_BYTES_MAX)
    };
    let whole = unpacked(&[name], body, body.len());
    let known = ["", "identity", "gzip", "x-gzip", "deflate"];
    let known = known.map(|it| name.trim_ascii().eq_ignore_ascii_case(it.as_bytes()));
    match (&whole, known) {
        (Ok(plain), [true, ..] | [_, true, ..]) => assert_eq!(&**plain, body),
        (Ok(plain), _) => assert!(known.contains(&true) && plain.len() <= UNPACKED_BYTES_MAX),
        (Err(Refusal::UnsupportedEncoding), _) => assert!(!known.contains(&true)),
        (Err(Refusal::Malformed | Refusal::TooLarge), [false, false, ..]) => {}
        (Err(refusal), _) => unreachable!("refused as {refusal:?}"),
    }
    let shouted = name.to_ascii_uppercase();
    assert_eq!(unpacked(&[shouted.as_slice()], body, body.len()), whole);
    let twice = unpacked(&[name, name], body, body.len());
    assert_eq!(twice, Err(Refusal::UnsupportedEncoding));
    if body.len() > UNPACKED_BYTES_MAX {
        return;
    }
    for (name, packed) in [
        ("identity", body.to_vec()),
        ("gzip", gzipped(body)),
        ("deflate", deflated(body)),
    ] {
        let again = unpacked(&[name.as_bytes()], &packed, piece);
        assert_eq!(again.as_deref(), Ok(body), "{name}");
    }
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
    written.unwrap_or_default()
}

fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
    written.unwrap_or_default()
}

/// A key of an upload is the text of its header, within its bounds. Of a header that stands there several
/// times the value counts where all say the same. Each line is one.
fn key(bytes: &[u8]) {
    let values: Vec<&[u8]> = bytes
        .split(|it| *it == b'\n')
        .filter(|it| HeaderValue::from_bytes(it).is_ok())
        .collect();
    let sent = headers(values.iter().map(|it| (KEY, *it)));
    let text = |it: &[u8]| {
        let is_text = it.iter().all(|it| matches!(it, b'\t' | b' '..=b'~'));
        is_text.then(|| String::from_utf8_lossy(it).into_owned())
    };
    let expected = match values.as_slice() {
        [] => Ok(None),
        [first, others @ ..]
            if (1..=KEY_CHARS_MAX).contains(&first.len())
                && others.iter().all(|it| it == first) =>
        {
            text(first).map(Some).ok_or(Refusal::Malformed)
        }
        _ => Err(Refusal::Malformed),
    };
    assert_eq!(fuzzing::idempotency_key(&sent), expected);

    let first = values.first().copied();
    let same = first.filter(|first| values.iter().all(|it| it == first));
    let only = fuzzing::only(&sent, KEY);
    assert_eq!(only.map(str::to_owned), same.and_then(text));
    if let Some(Ok(id)) = only.map(|it| it.trim().parse::<AccountId>()) {
        assert!((1..=16).contains(&id.as_str().len()));
        assert_eq!(id.to_string().parse(), Ok(id));
    }
}

/// The first line, and what follows it.
fn cut(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.iter().position(|it| *it == b'\n') {
        Some(end) => (&bytes[..end], &bytes[end + 1..]),
        None => (bytes, &[]),
    }
}

/// Headers; what can be the value of none is left out.
fn headers<'a>(pairs: impl IntoIterator<Item = (&'static str, &'a [u8])>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(name, value);
        }
    }
    headers
}
