//! TLS and tokens.

use std::sync::{Arc, Mutex};

use fbs_router_client::{Client, ErrorKind, Tls, v1::Document};
use fbs_router_proto::document::v1 as proto;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tonic::{
    Request, Response, Status,
    transport::{Certificate, Identity, ServerTlsConfig},
};

use crate::support::{Script, Service};

/// Remembers what it was shown.
#[derive(Debug, Default)]
struct Guard {
    shown: Mutex<Vec<Option<String>>>,
}

#[tonic::async_trait]
impl Script for Guard {
    async fn get_document(
        &self,
        request: Request<proto::GetDocumentRequest>,
    ) -> Result<Response<proto::GetDocumentResponse>, Status> {
        let shown = request.metadata().get("authorization").map(|value| value.to_str().unwrap().to_owned());
        self.shown.lock().unwrap().push(shown);
        Ok(Response::new(proto::GetDocumentResponse { document: Some(Document::default()) }))
    }
}

/// A private certificate authority.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// Certificate and key of somebody with that name.
    fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.0).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    fn server(&self, name: &str) -> ServerTlsConfig {
        let (certificate, key) = self.issue(name);
        ServerTlsConfig::new().identity(Identity::from_pem(certificate, key))
    }
}

fn url(service: &Service, host: &str) -> String {
    format!("https://{host}:{}", service.port)
}

#[tokio::test]
async fn a_private_authority_is_enough_and_the_token_arrives() {
    let authority = Authority::new();
    let guard = Arc::new(Guard::default());
    let service = Service::with_tls(Arc::clone(&guard), authority.server("localhost"));
    let builder = Client::builder().tls(Tls::private(authority.pem())).token("secret");
    let client = builder.connect(url(&service, "localhost")).await.unwrap();
    client.solution("acme_corp").get("id").await.unwrap();
    assert_eq!(*guard.shown.lock().unwrap(), [Some("Bearer secret".to_owned())]);
    assert!(!format!("{client:?}").contains("secret"));
}

#[tokio::test]
async fn a_token_arrives_over_the_loopback_too() {
    let guard = Arc::new(Guard::default());
    let service = Service::start(Arc::clone(&guard));
    let client = service.client_with(Client::builder().token("secret")).await;
    client.solution("acme_corp").get("id").await.unwrap();
    assert_eq!(*guard.shown.lock().unwrap(), [Some("Bearer secret".to_owned())]);
}

#[tokio::test]
async fn a_certificate_of_a_stranger_is_refused() {
    let service = Service::with_tls(Arc::new(Guard::default()), Authority::new().server("localhost"));
    let builder = Client::builder().tls(Tls::private(Authority::new().pem()));
    let error = builder.connect(url(&service, "localhost")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect);
}

#[tokio::test]
async fn a_certificate_must_be_for_the_host_or_for_the_name_asked_for() {
    let authority = Authority::new();
    let service = Service::with_tls(Arc::new(Guard::default()), authority.server("router.example"));
    let builder = || Client::builder();
    let tls = Tls::private(authority.pem());
    let error = builder().tls(tls.clone()).connect(url(&service, "localhost")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect);
    builder().tls(tls.domain("router.example")).connect(url(&service, "localhost")).await.unwrap();
}

#[tokio::test]
async fn an_address_in_a_url_is_checked_as_an_address() {
    let authority = Authority::new();
    let service = Service::with_tls(Arc::new(Guard::default()), authority.server("127.0.0.1"));
    let tls = Tls::private(authority.pem());
    Client::builder().tls(tls).connect(url(&service, "127.0.0.1")).await.unwrap();
}

#[tokio::test]
async fn who_is_asked_for_a_certificate_shows_it() {
    let authority = Authority::new();
    let strict = authority.server("localhost").client_ca_root(Certificate::from_pem(authority.pem()));
    let service = Service::with_tls(Arc::new(Guard::default()), strict);
    let tls = Tls::private(authority.pem());
    let error = Client::builder().tls(tls.clone()).connect(url(&service, "localhost")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect);
    let (certificate, key) = authority.issue("billing");
    Client::builder().tls(tls.identity_pem(certificate, key)).connect(url(&service, "localhost")).await.unwrap();
}
