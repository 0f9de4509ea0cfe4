//! The name in a certificate: its only URI, as SPIFFE has it.
//!
//! Whether the certificate is good was decided by the transport. The common name is never looked at: anybody may have
//! been given any.

use rustls::pki_types::CertificateDer;
use x509_cert::{
    Certificate,
    der::Decode,
    ext::pkix::{SubjectAltName, name::GeneralName},
};

/// The URI among the certificate's alternative names, if there is exactly one. Compared as it is, never normalised.
pub(super) fn only_uri(certificate: &CertificateDer<'_>) -> Option<String> {
    // Also refuses what stands behind it.
    let certificate = Certificate::from_der(certificate).ok()?;
    let (_, names) = certificate.tbs_certificate.get::<SubjectAltName>().ok()??;
    let mut uris = names.0.iter().filter_map(|name| match name {
        GeneralName::UniformResourceIdentifier(uri) => Some(uri.as_str()),
        _ => None,
    });
    match (uris.next(), uris.next()) {
        (Some(uri), None) => Some(uri.to_owned()),
        (None | Some(_), _) => None,
    }
}
