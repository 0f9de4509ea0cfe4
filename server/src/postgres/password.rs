//! The runtime role's password, and the one before it.
//!
//! A password is changed at the server and in a file, never in both at once. So the one before it is tried where the
//! server refuses the new one, and the file is read again where it refuses both: no connection fails for the time
//! between, whichever is changed first and as long as it takes to notice.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::error::SqlState;

use super::Told;
use crate::config;

/// What may let the runtime role in. Redacted in every Debug.
#[derive(Debug)]
pub(super) struct Passwords {
    file: Option<PathBuf>,
    now: Option<SecretString>,
    before: Option<SecretString>,
    told: AtomicBool,
}

impl Passwords {
    pub(super) fn new(settings: &config::Server) -> Self {
        let (file, now) = (settings.password_file.clone(), settings.password.clone());
        Self { file, now, before: None, told: AtomicBool::new(false) }
    }

    /// Those after a change. What is the password now is the one before it then.
    pub(super) fn followed_by(&self, settings: &config::Server) -> Self {
        let next = Self::new(settings);
        let before = if same(self.now.as_ref(), next.now.as_ref()) { &self.before } else { &self.now };
        Self { before: before.clone(), ..next }
    }

    /// The configured one.
    pub(super) fn now(&self) -> Option<&SecretString> {
        self.now.as_ref()
    }

    /// What else to try, once the server has refused the configured one: that of before, then what the file holds by now.
    pub(super) async fn others(&self) -> Vec<SecretString> {
        let mut others: Vec<SecretString> = self.before.iter().cloned().collect();
        if let Some(file) = &self.file
            && let Ok(found) = read_password(file).await
            && ![&self.now, &self.before].into_iter().any(|known| same(known.as_ref(), Some(&found)))
        {
            others.push(found);
        }
        others
    }

    /// Says once that the server takes another password than the configured one.
    pub(super) fn tell(&self, server: &str) {
        if !self.told.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                server,
                "the server refuses the runtime role's configured password and takes another one, of before or out of \
                 password_file; unless it is being changed: ALTER ROLE … PASSWORD"
            );
        }
    }
}

/// The password in a file.
pub(super) async fn read_password(file: &Path) -> std::io::Result<SecretString> {
    let text = tokio::fs::read_to_string(file).await.map(SecretString::from)?;
    Ok(SecretString::from(text.expose_secret().trim_end_matches(['\n', '\r'])))
}

/// True if the server says that it was the wrong password.
pub(super) fn is_wrong(error: &tokio_postgres::Error) -> bool {
    let wrong = error.code() == Some(&SqlState::INVALID_PASSWORD);
    if wrong {
        tracing::debug!(error = %Told::of(error), "a password is refused");
    }
    wrong
}

fn same(one: Option<&SecretString>, other: Option<&SecretString>) -> bool {
    one.map(ExposeSecret::expose_secret) == other.map(ExposeSecret::expose_secret)
}
