//! Certificates: of the service, and of its callers.

use std::path::{Path, PathBuf};

use fbs_router_client::Tls;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType, date_time_ymd};

use super::{World, secret_file};

/// A private certificate authority.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, as PEM.
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// For somebody with that name.
    pub(crate) fn issue(&self, name: &str) -> Pair {
        self.sign(CertificateParams::new(vec![name.to_owned()]).unwrap())
    }

    /// For a caller with those URIs, and no other name.
    pub(crate) fn issue_uris(&self, uris: &[&str]) -> Pair {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())).collect();
        self.sign(params)
    }

    /// As [`Self::issue`], years ago.
    pub(crate) fn issue_expired(&self, name: &str) -> Pair {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2019, 1, 1), date_time_ymd(2020, 1, 1));
        self.sign(params)
    }

    fn sign(&self, params: CertificateParams) -> Pair {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Pair { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// What a client needs to trust its certificates alone.
    pub(crate) fn tls(&self) -> Tls {
        Tls::private(self.pem())
    }
}

impl Pair {
    /// Puts the pair where the service reads it, as tools do: one file after the other, each by rename.
    pub(crate) fn put(&self, folder: &Path) {
        for (name, text) in [("tls.pem", &self.certificate), ("tls.key", &self.key)] {
            secret_file(&folder.join("half"), text);
            std::fs::rename(folder.join("half"), folder.join(name)).unwrap();
        }
    }
}

impl World {
    /// A configuration of a service that shows `pair`, with further lines of `[listen]` and of other sections.
    pub(crate) fn encrypted(&self, pair: &Pair, listen: &str, extra: &str) -> String {
        let folder = self.folder.path();
        pair.put(folder);
        let files = format!(
            "[listen]\ntls_certificate = \"{0}/tls.pem\"\ntls_key = \"{0}/tls.key\"\n{listen}\n",
            folder.display()
        );
        self.configuration(&self.platform.url(), extra).replace("[listen]\n", &files)
    }

    /// A file of this world.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        secret_file(&path, text);
        path
    }
}
