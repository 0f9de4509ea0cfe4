use super::*;
use crate::ErrorKind;

fn refused(builder: Builder, urls: &[&str]) -> String {
    let origins: Vec<_> = urls.iter().map(|url| Origin::parse(url).unwrap()).collect();
    let error = builder.check(&origins).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    error.to_string()
}

#[test]
fn a_token_never_travels_in_the_clear() {
    let builder = || Client::builder().token("secret");
    for url in ["http://router:50051", "http://10.0.0.1:50051"] {
        assert!(!refused(builder(), &["https://router", url]).contains("secret"));
    }
    for url in ["https://router", "http://127.0.0.1:50051", "http://localhost:50051", "unix:/run/router.sock"] {
        builder().check(&[Origin::parse(url).unwrap()]).unwrap();
    }
}

#[tokio::test]
async fn a_token_is_never_printed() {
    assert!(!format!("{:?}", Client::builder().token("secret")).contains("secret"));
    assert!(!format!("{:?}", Token::bearer("secret").unwrap()).contains("secret"));
    let mut metadata = tonic::metadata::MetadataMap::new();
    Token::bearer("secret").unwrap().put(&mut metadata);
    assert!(metadata.get("authorization").unwrap().is_sensitive());
    let error = Client::builder().token("secret\n").connect("http://127.0.0.1:1").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(!format!("{error} {error:?}").contains("secret"));
}

#[test]
fn tls_settings_for_a_url_without_tls_are_refused() {
    refused(Client::builder().tls(Tls::system()), &["http://127.0.0.1:50051"]);
    refused(Client::builder().tls(Tls::system()), &["unix:/run/router.sock"]);
    refused(Client::builder(), &[]);
}

#[tokio::test]
async fn a_file_without_certificates_is_not_taken_for_authorities() {
    let tls = Tls::private("nothing here");
    let error = Client::builder().tls(tls).connect("https://127.0.0.1:1").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
}

#[test]
fn a_key_is_never_printed() {
    assert!(!format!("{:?}", Tls::system().identity_pem("certificate", "secret")).contains("secret"));
}

#[tokio::test]
async fn nobody_there_is_a_connect_error_and_may_be_tried_again() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = Client::connect(&url).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert!(error.retryable() && error.to_string().contains(&url), "{error}");
}

#[tokio::test]
async fn an_open_port_that_never_answers_is_not_a_connection() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let limit = Duration::from_millis(200);
    let error = Client::builder().connect_timeout(limit).connect(&url).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect);
}
