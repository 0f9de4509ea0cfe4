//! What README shows is what is run elsewhere.

use std::path::Path;

use fbs_router_proto::router::v1::ErrorReason;

#[test]
fn the_snippets_of_the_readme_are_the_files_that_the_suites_run() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    for (language, path) in [
        ("rust", "client/examples/quickstart.rs"),
        ("python", "tests/clients/python/quickstart.py"),
        ("js", "tests/clients/node/quickstart.js"),
    ] {
        let file = std::fs::read_to_string(root.join(path)).unwrap();
        let snippet = format!("<summary>{path}</summary>\n\n```{language}\n{}\n```\n", file.trim_end());
        assert!(readme.contains(&snippet), "README does not show {path} as it is");
    }
}

#[test]
fn every_link_of_the_readme_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let links = readme.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link);
    let local: Vec<&str> = links.filter(|link| !link.starts_with("http")).collect();
    assert!(local.len() > 5);
    for link in local {
        let path = link.split('#').next().unwrap_or_default();
        assert!(path.is_empty() || root.join(path).exists(), "{link}");
    }
}

#[test]
fn every_reason_of_an_error_is_explained_to_operators() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/operating.md")).unwrap();
    let (_, table) = page.split_once("## What each error asks").unwrap();
    let told: Vec<&str> = table
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| reason") && !line.starts_with("| ---"))
        .flat_map(|line| line.split('|').nth(1).unwrap_or_default().split(','))
        .map(str::trim)
        .collect();
    let reasons: Vec<&str> =
        (1..).map_while(|number| ErrorReason::try_from(number).ok()).map(ErrorReason::reason).collect();
    assert!(reasons.len() > 40);
    for reason in &reasons {
        assert_eq!(told.iter().filter(|told| *told == reason).count(), 1, "{reason} in docs/operating.md");
    }
    for told in told {
        assert!(reasons.contains(&told), "{told} is no reason");
    }
}
