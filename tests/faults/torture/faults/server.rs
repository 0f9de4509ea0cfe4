//! The server of all databases dies or is silent; a database, be it the system's or the one that is moved to, is full or
//! closed; and dedicated ones are renamed, or trade their names.

use fbs_router_sandbox::platform::{ACME_DATABASE, SYSTEM_DATABASE};

use super::{
    super::{DEDICATED, MOVING},
    Torture, pause,
};

pub(super) async fn strike(torture: &Torture, fault: &str, random: &mut fastrand::Rng) {
    let (cluster, implementer) = (&torture.world.platform.cluster, torture.implementer());
    let own = |solution: &str| format!("djo_{solution}_db");
    let mut others: Vec<String> = DEDICATED.into_iter().map(own).chain([ACME_DATABASE.to_owned()]).collect();
    random.shuffle(&mut others);
    let (database, other) = (others[0].as_str(), others[1].as_str());
    let any = [database.to_owned(), SYSTEM_DATABASE.to_owned(), own(MOVING)];
    let any = any[random.usize(..any.len())].as_str();
    match fault {
        "postgres killed" => {
            cluster.kill().await.unwrap();
            pause(random).await;
            cluster.start_again().await.unwrap();
        }
        "postgres stopped" => {
            cluster.stop().await.unwrap();
            pause(random).await;
            cluster.start_again().await.unwrap();
        }
        "postgres frozen" => {
            cluster.freeze().await.unwrap();
            pause(random).await;
            cluster.thaw().await.unwrap();
        }
        "sessions terminated" => {
            let some = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'fbs_router' AND random() < 0.5";
            implementer.run("postgres", some).await.unwrap();
        }
        "connections limited" => {
            implementer.limit_connections(any, 0).await.unwrap();
            pause(random).await;
            implementer.limit_connections(any, -1).await.unwrap();
        }
        "database closed" => {
            implementer.allow_connections(any, false).await.unwrap();
            pause(random).await;
            implementer.allow_connections(any, true).await.unwrap();
        }
        "database renamed" => {
            implementer.rename(database, "elsewhere").await.unwrap();
            pause(random).await;
            implementer.rename("elsewhere", database).await.unwrap();
        }
        "databases swapped" => {
            implementer.swap_names(database, other).await.unwrap();
            pause(random).await;
            implementer.swap_names(database, other).await.unwrap();
        }
        "databases swapped at once" => {
            for _ in 0..2 {
                implementer.swap_names_at_once(database, other).await.unwrap();
                pause(random).await;
            }
        }
        other => panic!("no fault is called {other}"),
    }
}
