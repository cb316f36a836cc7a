//! Codes of an authenticator app (RFC 6238): six digits, HMAC-SHA-1, 30 seconds, one step of slack
//! to either side. A step is used once.

use model::{Random, Secret, Timestamp};
use totp_rs::{Algorithm, Builder, Totp};

use crate::{Error, Result};

/// Seconds of one step.
const STEP_SECS: u64 = 30;
/// Bytes of a secret: as long as the hash, as RFC 4226 asks.
const SECRET_BYTES: usize = 20;

/// A secret that an authenticator app is about to share.
#[derive(Debug, Clone)]
pub struct TotpOffer {
    /// The secret as people type it: base 32.
    pub secret: Secret<String>,
    /// The address that a QR code holds: `otpauth://…`.
    pub url: Secret<String>,
}

/// A fresh secret.
pub(crate) fn generate(random: &dyn Random) -> Secret<Vec<u8>> {
    let mut bytes = vec![0; SECRET_BYTES];
    random.fill(&mut bytes);
    Secret::new(bytes)
}

/// The secret as an app takes it.
///
/// # Errors
/// [`model::ErrorKind::Internal`] when the library refuses.
pub(crate) fn offer(secret: &Secret<Vec<u8>>, email: &str) -> Result<TotpOffer> {
    let refused = |error| Error::Internal(format!("failed to offer a code secret: {error}"));
    // The colon separates issuer and name in the address, so it may be in neither.
    let named = builder(secret)
        .with_account_name(email.replace(':', " "))
        .with_issuer(Some("Strongroom"))
        .build()
        .map_err(refused)?;
    Ok(TotpOffer {
        secret: Secret::new(shared(secret).to_base32()),
        url: Secret::new(named.to_url().map_err(refused)?),
    })
}

/// The step whose code `code` is, among those that are accepted now and later than `used`.
pub(crate) fn step(secret: &Secret<Vec<u8>>, code: &str, now: Timestamp, used: u64) -> Option<u64> {
    let digits: String = code.chars().filter(|it| !it.is_whitespace()).collect();
    let totp: Totp = builder(secret).build_noncompliant();
    let now = u64::try_from(now.ms()).ok()? / 1_000 / STEP_SECS;
    let first = now.saturating_sub(1);
    // All are compared, whichever it is.
    let mut found = None;
    for step in first..=now.saturating_add(1) {
        let at = step.saturating_mul(STEP_SECS);
        let expected = totp.generate(at).to_string();
        let is_it = blake3::hash(expected.as_bytes()) == blake3::hash(digits.as_bytes());
        if is_it && step > used {
            found = Some(step);
        }
    }
    found
}

fn builder(secret: &Secret<Vec<u8>>) -> Builder {
    Builder::new()
        .with_algorithm(Algorithm::SHA1)
        .with_digits(6)
        .with_skew(0)
        .with_step_duration(STEP_SECS)
        .with_secret(shared(secret))
}

fn shared(secret: &Secret<Vec<u8>>) -> totp_rs::Secret {
    totp_rs::Secret::new(secret.expose().clone().into_boxed_slice())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The secret of RFC 4226, appendix D, and RFC 6238, appendix B.
    const SECRET: &[u8] = b"12345678901234567890";

    fn codes(digits: u8, step: u64, at: u64) -> String {
        Builder::new()
            .with_algorithm(Algorithm::SHA1)
            .with_digits(digits)
            .with_step_duration(step)
            .with_secret(totp_rs::Secret::new(Box::from(SECRET)))
            .build_noncompliant()
            .generate(at)
            .to_string()
    }

    #[test]
    fn codes_are_those_of_the_hotp_standard() {
        let expected = [
            "755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583",
            "399871", "520489",
        ];
        for (count, code) in (0_u64..).zip(expected) {
            assert_eq!(
                codes(6, 1, count),
                code,
                "RFC 4226, appendix D, count {count}"
            );
        }
    }

    #[test]
    fn codes_are_those_of_the_totp_standard() {
        let expected = [
            (59, "94287082"),
            (1_111_111_109, "07081804"),
            (1_111_111_111, "14050471"),
            (1_234_567_890, "89005924"),
            (2_000_000_000, "69279037"),
            (20_000_000_000, "65353130"),
        ];
        for (at, code) in expected {
            assert_eq!(codes(8, 30, at), code, "RFC 6238, appendix B, at {at}");
        }
    }

    #[test]
    fn e05_a_code_is_taken_one_step_early_or_late_and_never_again() {
        let secret = Secret::new(SECRET.to_vec());
        let at = |step: u64| Timestamp::from_ms(i64::try_from(step * 30_000).unwrap());
        let code = codes(6, 30, 100 * 30);
        for (now, taken) in [
            (97, false),
            (98, false),
            (99, true),
            (100, true),
            (101, true),
            (102, false),
            (103, false),
        ] {
            let found = step(&secret, &code, at(now), 0);
            assert_eq!(found, taken.then_some(100), "judged at step {now}");
        }
        assert_eq!(step(&secret, &code, at(100), 100), None, "used already");
        assert_eq!(step(&secret, "", at(100), 0), None);
        assert_eq!(step(&secret, &code[..5], at(100), 0), None);
    }
}
