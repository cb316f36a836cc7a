//! Encrypted calls of the REST dialect.

use model::Secret;
use wire::rest::hpke;

const PRIVATE: Secret<[u8; 32]> = Secret::new([7; 32]);

/// Bytes that nobody encrypted open in no form, and what was encrypted opens in the form that it was
/// sent in and in no other.
pub(crate) fn message(input: &[u8]) {
    let opens = |bytes: &[u8]| {
        let mut readings = hpke::readings(bytes);
        readings.find_map(|(number, it)| Some((number, seal::hpke::open(&PRIVATE, it).ok()?)))
    };
    assert!(opens(input).is_none(), "what was never encrypted opens");
    let Ok(public_key) = seal::hpke::public_key(&PRIVATE) else {
        unreachable!("any 32 bytes are a private key")
    };
    let Ok(sealed) = seal::hpke::seal(&public_key, input) else {
        unreachable!("the key is a good one")
    };
    assert_eq!(opens(&sealed), Some((None, input.to_vec())));
    let number = u32::try_from(input.len()).unwrap_or(u32::MAX);
    let prefixed = [&hpke::prefix(number)[..], &sealed].concat();
    assert_eq!(opens(&prefixed), Some((Some(number), input.to_vec())));
    let place = input.first().map_or(0, |byte| usize::from(*byte)) % sealed.len();
    let mut bad = sealed;
    bad[place] ^= 1;
    assert!(opens(&bad).is_none(), "a flipped bit was not seen");
}

/// A keyset that is taken says the same when it is written again.
pub(crate) fn keyset(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    assert!(!hpke::is_encrypted(text) || hpke::wants_encrypted(text));
    if let Ok(key) = hpke::read_keyset(text)
        && let Some(number) = key.prefix
    {
        let again = hpke::keyset(number, &key.bytes).to_string();
        assert_eq!(hpke::read_keyset(&again), Ok(key));
    }
}
