//! Callers as tests know them: a file of them, tokens that are their names, and calls that carry one.

use std::{net::SocketAddr, os::unix::fs::PermissionsExt, path::PathBuf};

use prost::bytes::Bytes;
use sha2::{Digest, Sha256};
use tonic::{Code, Request, Status, metadata::MetadataValue};

use super::{
    World, asking,
    wire::{framed, raw},
    within,
};

/// The token of whoever is called so.
pub(crate) fn token(name: &str) -> String {
    format!("fbsr_{name}")
}

/// A line of `tokens` for the token of that name.
pub(crate) fn digest(name: &str) -> String {
    let digest = Sha256::digest(token(name));
    format!("sha256 = \"{}\"", digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// A caller with the token of his name and grants such as `acme_corp writer`.
pub(crate) fn caller(name: &str, grants: &[&str]) -> String {
    let grants: Vec<String> = grants
        .iter()
        .map(|grant| {
            let (solution, role) = grant.split_once(' ').unwrap();
            format!("{{ solution = \"{solution}\", role = \"{role}\" }}")
        })
        .collect();
    format!("[[caller]]\nid = \"{name}\"\ngrants = [{}]\ntokens = [{{ {} }}]\n", grants.join(", "), digest(name))
}

/// A request that carries a token.
pub(crate) fn with_token<T>(message: T, name: &str) -> Request<T> {
    let mut request = within(message);
    let value = MetadataValue::try_from(format!("Bearer {}", token(name))).unwrap();
    request.metadata_mut().insert("authorization", value);
    request
}

/// One call with a token, or without one: everything of the answer but its date.
pub(crate) async fn answer(at: SocketAddr, path: &str, name: Option<&str>, message: &[u8]) -> http::HeaderMap {
    let bearer = name.map(|name| format!("Bearer {}", token(name)));
    let headers: Vec<(&str, &str)> = bearer.iter().map(|bearer| ("authorization", bearer.as_str())).collect();
    answer_to(at, path, &headers, framed(0, message)).await
}

/// As [`answer`], with any headers.
pub(crate) async fn answer_to(at: SocketAddr, path: &str, headers: &[(&str, &str)], body: Bytes) -> http::HeaderMap {
    let mut headers = raw(at, path, headers, body).await;
    headers.remove("date");
    headers
}

/// Code and reason of an answer; of a good one no reason.
pub(crate) fn outcome(headers: &http::HeaderMap) -> (Code, String) {
    let status = Status::from_header_map(headers).expect("a grpc-status");
    if status.code() == Code::Ok { (Code::Ok, String::new()) } else { asking::refusal(&status) }
}

impl World {
    /// Where the file of callers is.
    pub(crate) fn callers_file(&self) -> PathBuf {
        self.folder.path().join("callers.toml")
    }

    /// Writes the file of callers as whoever knows how does: whole, by rename.
    pub(crate) fn write_callers(&self, text: &str) {
        let path = self.callers_file();
        let next = path.with_extension("next");
        std::fs::write(&next, text).unwrap();
        std::fs::set_permissions(&next, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::rename(&next, &path).unwrap();
    }

    /// Writes it, and the lines of configuration that name it. Tests fail oftener than ten times a minute.
    pub(crate) fn callers(&self, text: &str) -> String {
        self.write_callers(text);
        format!("[callers]\nfile = \"{}\"\nfailures_per_minute = 1000000\n", self.callers_file().display())
    }
}
