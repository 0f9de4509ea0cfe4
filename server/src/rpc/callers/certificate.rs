//! The name in a certificate: its only URI, as SPIFFE has it.
//!
//! Whether the certificate is good was decided by the transport. The common name is never looked at: anybody may have
//! been given any.

use rustls::pki_types::CertificateDer;
use x509_parser::{extensions::GeneralName, prelude::*};

/// The URI among the certificate's alternative names, if there is exactly one. Compared as it is, never normalised.
pub(super) fn only_uri(certificate: &CertificateDer<'_>) -> Option<String> {
    let (rest, certificate) = X509Certificate::from_der(certificate).ok()?;
    if !rest.is_empty() {
        return None;
    }
    let names = certificate.subject_alternative_name().ok()??;
    let mut uris = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    match (uris.next(), uris.next()) {
        (Some(uri), None) => Some(uri.to_owned()),
        (None | Some(_), _) => None,
    }
}
