//! When credentials were accepted last: written down in batches. It is no act of anybody, so it leaves
//! no entry; each use has its line in the request log.

use model::{Credential, CredentialUse};

use crate::control::Control;
use crate::{Error, Result};

impl Control {
    /// Writes down when credentials were accepted last. What is known of a later use stays, and what
    /// is not there any more is passed over.
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`]: nothing was written down.
    pub async fn note_uses(&self, uses: Vec<CredentialUse>) -> Result<()> {
        const PASSCODE: &str = "UPDATE passcodes SET used_at = $1 WHERE account = $2 AND name = $3 \
            AND (used_at IS NULL OR used_at < $1)";
        const TOKEN: &str = "UPDATE sdk_tokens SET used_at = $1 WHERE account = $2 AND number = $3 \
            AND (used_at IS NULL OR used_at < $1)";
        self.database
            .write(move |session| {
                Box::pin(async move {
                    for it in uses {
                        let account = it.account.as_str().to_owned();
                        let update = match it.credential {
                            Credential::Passcode(name) => sqlx::query(PASSCODE)
                                .bind(it.at.ms())
                                .bind(account)
                                .bind(String::from(name)),
                            Credential::SdkToken(number) => sqlx::query(TOKEN)
                                .bind(it.at.ms())
                                .bind(account)
                                .bind(i64::from(number)),
                        };
                        update
                            .execute(session.connection())
                            .await
                            .map_err(Error::database("note when a credential was used"))?;
                    }
                    Ok(())
                })
            })
            .await
    }
}
