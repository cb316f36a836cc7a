//! `[web]`: what the console plane says to people who find a weakness.

section! {
    /// What `/.well-known/security.txt` says (RFC 9116).
    struct Web {
        /// Where to report a weakness: a `mailto:` or `https:` address.
        security_contact: String = "mailto:security@localhost".to_owned(),
        /// The address of the policy; none when empty.
        security_policy: String = String::new(),
        /// The address that the file itself has; none when empty.
        security_canonical: String = String::new(),
        /// The languages of reports.
        preferred_languages: String = "en".to_owned(),
    }
}
