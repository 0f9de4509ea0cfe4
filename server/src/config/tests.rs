use super::*;

const SMALLEST: &str = "[[server]]\nurl = \"postgres://fbs_router@localhost\"\n";

fn parse(text: &str, settings: &[&str]) -> Result<Config, ConfigErrors> {
    let settings: Vec<String> = settings.iter().map(|&setting| setting.to_owned()).collect();
    Config::parse(text, Path::new("/etc/fbs-router/router.toml"), [], &settings)
}

#[test]
fn the_smallest_useful_file_is_one_server_with_its_url() {
    let config = parse(SMALLEST, &[]).unwrap();
    assert_eq!(config.naming.documents_app().name.as_ref(), "fbs_dms");
    assert_eq!(config.naming.app("fbs_license_manager").unwrap().system_database.as_deref(), Some("lic_system_db"));
    assert_eq!(config.ledger.snapshot.as_deref(), Some(Path::new("/etc/fbs-router/router.snapshot.json")));
    assert_eq!(config.servers[0].tls, Tls::Disable);
}

#[test]
fn off_loopback_the_default_is_verified_tls() {
    let config = parse("[[server]]\nurl = \"postgres://fbs_router@db.example\"\n", &[]).unwrap();
    assert_eq!(config.servers[0].tls, Tls::VerifyFull { ca_file: None });
}

#[test]
fn the_address_a_connection_goes_to_decides_whether_it_leaves_the_machine() {
    let leaves = |url: &str| parse(&format!("[[server]]\nurl = \"{url}\"\n"), &[]).unwrap().servers[0].leaves_machine();
    for url in ["localhost", "127.0.0.1", "[::1]", "%2Frun%2Fpostgresql", "localhost/?hostaddr=127.0.0.1"] {
        assert!(!leaves(&format!("postgres://fbs_router@{url}")), "{url}");
    }
    for url in ["db.example", "10.0.0.1", "localhost/?hostaddr=10.0.0.1", "db.example/?hostaddr=127.0.0.1"] {
        assert!(leaves(&format!("postgres://fbs_router@{url}")), "{url}");
    }
}

#[test]
fn a_server_may_have_several_hosts_of_which_one_is_the_primary() {
    let server = |url: &str, more: &str| {
        let config = parse(&format!("[[server]]\nurl = \"postgres://{url}\"\n{more}\n"), &[])?;
        Ok::<_, ConfigErrors>(config.servers[0].advertised.clone())
    };
    let told = |all: &[(&str, u16)]| all.iter().map(|(host, port)| ((*host).to_owned(), *port)).collect::<Vec<_>>();
    assert_eq!(server("fbs_router@a:1,b", "").unwrap(), told(&[("a", 1), ("b", 5432)]));
    assert_eq!(server("fbs_router@a,b", "advertise = \"c:3\"").unwrap(), told(&[("c", 3)]));
    for (url, problem) in [
        ("fbs_router@", "server[0].url: must name a host"),
        ("fbs_router@a,b/?hostaddr=127.0.0.1", "server[0].url: must name as many ports and hostaddrs"),
    ] {
        let ConfigErrors(problems) = server(url, "").unwrap_err();
        assert!(problems.iter().any(|found| found.starts_with(problem)), "{url}: {problems:?}");
    }
}

#[test]
fn catalog_and_ledger_are_not_read_through_a_pooler() {
    let server = |more: &str| parse(&format!("{SMALLEST}{more}\n"), &[]);
    let ConfigErrors(problems) = server("pooler = true").unwrap_err();
    assert!(problems.iter().any(|problem| problem.starts_with("server[0].catalog_url: is missing")), "{problems:?}");
    let config = server("pooler = true\ncatalog_url = \"postgres://fbs_router@db.example/maintenance\"").unwrap();
    assert_eq!(config.servers[0].catalog_database, "maintenance");
    assert_eq!(config.servers[0].tls, Tls::VerifyFull { ca_file: None });
    assert!(config.servers[0].leaves_machine());
}

#[test]
fn tls_of_callers_is_whole_or_absent() {
    let listen = |lines: &str| parse(&format!("{SMALLEST}[listen]\n{lines}\n"), &[]).map(|config| config.listen.tls);
    assert_eq!(listen("").unwrap(), None);
    let whole = "tls_certificate = \"c\"\ntls_key = \"k\"\n";
    assert!(!listen(whole).unwrap().unwrap().client_required);
    let required = format!("{whole}tls_client_ca = \"a\"\ntls_client = \"required\"");
    assert!(listen(&required).unwrap().unwrap().client_required);
    for (lines, place) in [
        ("tls_certificate = \"c\"", "listen.tls_key: is missing"),
        ("tls_key = \"k\"", "listen.tls_certificate: is missing"),
        ("tls_client_ca = \"a\"", "listen.tls_client_ca: needs tls_certificate"),
        (&format!("{whole}tls_client = \"required\""), "listen.tls_client: needs tls_client_ca"),
        (&format!("{whole}tls_client_ca = \"a\"\ntls_client = \"yes\""), "listen.tls_client: \"yes\" is not one of"),
    ] {
        let ConfigErrors(problems) = listen(lines).unwrap_err();
        assert!(problems.iter().any(|problem| problem.starts_with(place)), "{place} in {problems:#?}");
    }
}

#[test]
fn all_mistakes_are_reported_at_once_with_their_place() {
    let text = r#"
        colour = "red"
        [listen]
        grpc = "somewhere"
        [[server]]
        url = "postgres://fbs_router:geheim@localhost"
        max_connections = 0
        [[app]]
        name = "fbs_dms"
        pattern = "djo_db"
        system_database = "fbs_system_db"
        server = "other"
        [pool]
        wait = "soon"
        max_sise = 3
        [routing]
        isolation = "always"
        [documents]
        content_max_bytes = 0
        content_idle = "1h"
        [deadline]
        transfer = "2days"
    "#;
    let ConfigErrors(problems) = parse(text, &["pool"]).unwrap_err();
    for place in [
        "colour: unknown key",
        "listen.grpc:",
        "server[0].url: must not hold a password",
        "server[0].max_connections:",
        "app[0].pattern: must hold {solution} exactly once",
        "app[0].server: no [[server]] is called `other`",
        "pool.wait:",
        "documents.content_max_bytes:",
        "documents.content_idle:",
        "deadline.transfer:",
        "pool.max_sise: unknown key",
        "routing.isolation: \"always\" is not one of",
        "--set pool: must be KEY=VALUE",
        "documents.app: `fbs_dms` needs a pattern",
    ] {
        assert!(problems.iter().any(|problem| problem.starts_with(place)), "{place} in {problems:#?}");
    }
    assert!(!problems.iter().any(|problem| problem.contains("geheim")));
}

#[test]
fn flags_override_the_environment_which_overrides_the_file() {
    let text = format!("{SMALLEST}[pool]\nmax_size = 2\nwait = \"1s\"\ncreate = \"1s\"\n");
    let environment = [
        ("FBS_ROUTER_POOL__MAX_SIZE".to_owned(), "3".to_owned()),
        ("FBS_ROUTER_POOL__WAIT".to_owned(), "250ms".to_owned()),
        ("FBS_ROUTER_SERVER__0__NAME".to_owned(), "west".to_owned()),
    ];
    let config = Config::parse(&text, Path::new("router.toml"), environment, &["pool.max_size=4".to_owned()]).unwrap();
    assert_eq!(config.pool.max_size, 4);
    assert_eq!(config.pool.wait, Duration::from_millis(250));
    assert_eq!(config.servers[0].name.as_ref(), "west");
}

#[test]
fn variables_that_orchestrators_set_for_a_service_of_our_name_are_none_of_ours() {
    let environment = ["FBS_ROUTER_PORT", "FBS_ROUTER_SERVICE_HOST", "FBS_ROUTER_PORT_50051_TCP_ADDR"]
        .map(|name| (name.to_owned(), "tcp://10.0.0.1:50051".to_owned()));
    assert!(Config::parse(SMALLEST, Path::new("router.toml"), environment, &[]).is_ok());
}

#[test]
fn two_patterns_that_could_name_two_solutions_alike_are_refused() {
    let text = format!(
        "{SMALLEST}
        [[app]]\nname = \"fbs_dms\"\npattern = \"djo_{{solution}}_db\"\nsystem_database = \"s\"
        [[app]]\nname = \"odoo\"\npattern = \"djo_x_{{solution}}_db\"\n"
    );
    let ConfigErrors(problems) = parse(&text, &[]).unwrap_err();
    assert!(problems[0].contains("could name the databases of two solutions alike"), "{problems:?}");
}

#[test]
fn a_password_shows_in_no_debug_output() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "canary-secret\n").unwrap();
    let text = format!("{SMALLEST}password_file = {:?}\n", file.display().to_string());
    let config = parse(&text, &[]).unwrap();
    assert!(config.servers[0].password.is_some());
    assert!(!format!("{config:?}").contains("canary-secret"));
}

#[test]
fn the_commented_example_is_a_valid_configuration_of_the_defaults() {
    let text = include_str!("../../../deploy/fbs-router.example.toml");
    let config = parse(text, &[]).unwrap();
    let defaults = parse(SMALLEST, &[]).unwrap();
    assert_eq!(format!("{:?}", config.routing), format!("{:?}", defaults.routing));
    assert_eq!(format!("{:?}", config.pool), format!("{:?}", defaults.pool));
    assert_eq!(format!("{:?}", config.limits), format!("{:?}", defaults.limits));
    assert_eq!(format!("{:?}", config.naming.apps()), format!("{:?}", defaults.naming.apps()));
}

#[test]
fn a_role_of_each_solution_needs_a_pattern_and_counts_for_the_length_of_ids() {
    let app = |more: &str| format!("{SMALLEST}[[app]]\nname = \"fbs_dms\"\nsystem_database = \"s\"\n{more}\n");
    let good =
        app("pattern = \"djo_{solution}_db\"\nrole = \"solution_{solution}_runtime\"\nrole_passwords = \"roles\"");
    let config = parse(&good, &[]).unwrap();
    assert_eq!(config.naming.longest_solution(), 63 - "solution__runtime".len());
    for (more, place) in [
        ("pattern = \"djo_{solution}_db\"\nrole = \"runtime\"", "app[0].role: must hold {solution} exactly once"),
        ("pattern = \"djo_{solution}_db\"\nrole = \"../{solution}\"", "app[0].role: must hold"),
        ("role = \"sol_{solution}\"", "app[0].role: is useless without pattern"),
        ("pattern = \"djo_{solution}_db\"\nrole_passwords = \"roles\"", "app[0].role_passwords: is useless"),
    ] {
        let ConfigErrors(problems) = parse(&app(more), &[]).unwrap_err();
        assert!(problems.iter().any(|problem| problem.starts_with(place)), "{place}: {problems:?}");
    }
}

#[test]
fn the_longest_request_fits_into_what_calls_may_take_of_the_memory() {
    let limits = |request, all| {
        let text = format!("{SMALLEST}[limits]\nrequest_bytes = {request}\nin_flight_bytes = {all}\n");
        parse(&text, &[]).map(|config| config.limits.in_flight_bytes)
    };
    let (request, all) = (16 << 20, 24 * (16 << 20));
    assert_eq!(limits(request, all).unwrap(), all);
    let problems = limits(request, all - 1).unwrap_err().to_string();
    assert!(problems.contains("in_flight_bytes: must be at least 24 times request_bytes"), "{problems}");
}
