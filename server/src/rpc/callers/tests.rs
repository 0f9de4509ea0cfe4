use http::HeaderValue;
use rcgen::{CertificateParams, KeyPair, SanType, string::Ia5String};

use super::*;
use crate::{
    config::Config,
    domain::{Need, SolutionId},
};

const BILLING: &str = "fbsr_billing";
const OLD: &str = "fbsr_old";
const PORTAL: &str = "fbsr_portal";

fn directory() -> Directory {
    let hex = |token: &str| Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let text = format!(
        r#"
        [[caller]]
        id = "billing"
        grants = [{{ solution = "acme_corp", role = "writer" }}, {{ solution = "globex", role = "writer" }}]
        act_for_others = true
        tokens = [{{ sha256 = "{}" }}, {{ sha256 = "{}", not_after = "2001-01-01T00:00:00Z" }}]
        certificate = "spiffe://example/billing"
        [[caller]]
        id = "portal"
        grants = [{{ solution = "*", role = "admin" }}]
        act_for_others = true
        tokens = [{{ sha256 = "{}" }}]
        [[caller]]
        id = "edge"
        grants = [{{ solution = "acme_corp", role = "reader" }}]
        certificate = "spiffe://example/edge"
        "#,
        hex(BILLING),
        hex(OLD),
        hex(PORTAL)
    );
    let config = "[[server]]\nurl = \"postgres://fbs_router@localhost\"\n";
    let config = Config::parse(config, std::path::Path::new("router.toml"), [], &[]).unwrap();
    Directory::parse(&text, &config.naming).unwrap()
}

fn headers(values: &[&str]) -> HeaderMap {
    values.iter().map(|value| (AUTHORIZATION, HeaderValue::from_str(value).unwrap())).collect()
}

fn certificate(names: Vec<SanType>) -> CertificateDer<'static> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, "spiffe://example/edge");
    params.subject_alt_names = names;
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
}

fn uri(text: &str) -> SanType {
    SanType::URI(Ia5String::try_from(text).unwrap())
}

fn who(values: &[&str], certificate: Option<&CertificateDer<'static>>) -> Result<Principal, &'static str> {
    let headers = headers(values);
    identify(&directory(), &bearer(&headers), certificate, SystemTime::now())
}

#[test]
fn a_bearer_token_is_one_header_value_with_the_scheme_in_any_case() {
    for good in [format!("Bearer {BILLING}"), format!("bearer {BILLING}"), format!("BEARER {BILLING}")] {
        assert_eq!(who(&[&good], None).unwrap().id(), "billing");
    }
    let long = format!("Bearer {}", "a".repeat(TOKEN_BYTES + 1));
    let twice = format!("Bearer {BILLING}, Bearer {BILLING}");
    for bad in [
        "",
        "Bearer",
        "Bearer ",
        BILLING,
        "Basic YTpi",
        "Bearer fbsr_unknown",
        &format!("Bearer  {BILLING}"),
        &format!("Bearer {BILLING} "),
        &format!("Bearer\t{BILLING}"),
        &format!("Bearer {OLD}"),
        &long,
        &twice,
    ] {
        assert!(who(&[bad], None).is_err(), "{bad:?}");
    }
    let billing = format!("Bearer {BILLING}");
    assert!(who(&[&billing, &billing], None).is_err(), "two, be they the same");
    assert_eq!(who(&[], None).unwrap_err(), "no credential came");
}

/// What the log says tells a token that was never looked up from one that nobody has.
#[test]
fn a_token_that_is_empty_or_longer_than_any_is_not_looked_up() {
    for (bytes, why) in [
        (0, "the token is empty or too long"),
        (1, "the token is unknown or has expired"),
        (TOKEN_BYTES, "the token is unknown or has expired"),
        (TOKEN_BYTES + 1, "the token is empty or too long"),
        (TOKEN_BYTES + 2, "the token is empty or too long"),
    ] {
        assert_eq!(who(&[&format!("Bearer {}", "a".repeat(bytes))], None).unwrap_err(), why, "{bytes} bytes");
    }
}

#[test]
fn a_certificate_names_its_caller_by_exactly_one_uri() {
    let dns = || SanType::DnsName(Ia5String::try_from("edge.example").unwrap());
    assert_eq!(who(&[], Some(&certificate(vec![dns(), uri("spiffe://example/edge")]))).unwrap().id(), "edge");
    for names in [
        vec![],
        vec![dns()],
        vec![uri("spiffe://example/edge"), uri("spiffe://example/billing")],
        vec![uri("spiffe://example/edge"), uri("spiffe://example/edge")],
        vec![uri("spiffe://example/edge/")],
        vec![uri("spiffe://example/EDGE")],
        vec![uri("spiffe://example/edg")],
    ] {
        let certificate = certificate(names.clone());
        assert!(who(&[], Some(&certificate)).is_err(), "{names:?}");
    }
    assert!(who(&[], Some(&CertificateDer::from(b"rubbish".to_vec()))).is_err());
    let nameless = certificate(vec![dns()]);
    assert_eq!(who(&[], Some(&nameless)).unwrap_err(), "the certificate has not exactly one URI");
}

#[test]
fn neither_of_two_credentials_widens_the_other() {
    let billing = format!("Bearer {BILLING}");
    let portal = format!("Bearer {PORTAL}");
    let edge = certificate(vec![uri("spiffe://example/edge")]);
    let unknown = certificate(vec![uri("spiffe://example/unknown")]);
    let (acme, globex) = (SolutionId::parse("acme_corp").unwrap(), SolutionId::parse("globex").unwrap());

    let both = who(&[&portal], Some(&edge)).unwrap();
    assert_eq!(both.id(), "portal", "the token says who");
    assert!(both.may(Need::Read, &acme) && !both.may(Need::Write, &acme) && !both.may(Need::Read, &globex));
    assert!(!both.sees_all() && !both.may_somewhere(Need::Operate) && !both.may_act_for_others());

    let own = who(&[&billing], Some(&certificate(vec![uri("spiffe://example/billing")]))).unwrap();
    assert!(own.may(Need::Write, &globex) && own.may_act_for_others());

    // What came and is not valid refuses the call, whatever else came.
    assert!(who(&[&portal], Some(&unknown)).is_err());
    assert!(who(&["Bearer fbsr_unknown"], Some(&edge)).is_err());
    assert!(who(&["Basic YTpi"], Some(&edge)).is_err());
    // A certificate that names nobody is no credential, good or bad.
    assert_eq!(who(&[&billing], Some(&certificate(vec![]))).unwrap().id(), "billing");
}
