//! All rows, in the order printed.

use super::{Group, Method, Row};
use crate::{load::Shape, servers::Kind, world::Stage};

/// Every group.
pub(crate) fn groups() -> Vec<Group> {
    let mut groups = vec![control(), resolve(), get(), get_many(), create()];
    groups.extend(shapes());
    // Last: databases that are there stay.
    groups.extend(scale());
    groups
}

fn control() -> Group {
    Group {
        method: Method::Resolve,
        shape: Shape { connections: 4, in_flight: 16 },
        postgres: false,
        servers: vec![Kind::Echo, Kind::Echo],
        rows: vec![row("control: echo -> echo", 0, 1)],
        stage: None,
    }
}

fn resolve() -> Group {
    Group {
        method: Method::Resolve,
        shape: Shape { connections: 4, in_flight: 16 },
        postgres: false,
        servers: vec![Kind::Echo, Kind::Constant, Kind::OursOfTen, Kind::Ours],
        rows: vec![
            row("resolve: echo -> constant route", 0, 1),
            row("resolve: echo -> ours, 10 placements", 0, 2),
            row("resolve: echo -> ours, 10,000 placements", 0, 3),
            row("resolve: constant route -> ours, 10,000", 1, 3),
        ],
        stage: None,
    }
}

fn get() -> Group {
    Group {
        method: Method::Get,
        shape: Shape { connections: 4, in_flight: 4 },
        postgres: true,
        servers: vec![Kind::Bare, Kind::Policies, Kind::Fence, Kind::Ours],
        rows: vec![
            row("get: bare -> policies", 0, 1),
            row("get: bare -> policies + fence", 0, 2),
            row("get: bare -> ours", 0, 3),
            row("get: policies + fence -> ours", 2, 3),
        ],
        stage: None,
    }
}

/// With 64 calls in flight: what sharing connections is worth.
fn get_many() -> Group {
    Group {
        shape: Shape { connections: 4, in_flight: 16 },
        servers: vec![Kind::Bare, Kind::Fence, Kind::Ours],
        rows: vec![row("get 4x16: bare -> ours", 0, 2), row("get 4x16: policies + fence -> ours", 1, 2)],
        ..get()
    }
}

fn create() -> Group {
    Group {
        method: Method::Create,
        shape: Shape { connections: 4, in_flight: 4 },
        postgres: true,
        servers: vec![Kind::Bare, Kind::Ours],
        rows: vec![row("create: bare -> ours", 0, 1)],
        stage: None,
    }
}

/// The same service on three runtimes: multi-thread is what is served.
fn shapes() -> Vec<Group> {
    let one = Shape { connections: 1, in_flight: 16 };
    let four = Shape { connections: 4, in_flight: 16 };
    let many = Shape { connections: 64, in_flight: 1 };
    [
        (Method::Resolve, one, ["shape: resolve  1x16 -> each core", "shape: resolve  1x16 -> shared by cores"]),
        (Method::Resolve, four, ["shape: resolve  4x16 -> each core", "shape: resolve  4x16 -> shared by cores"]),
        (Method::Resolve, many, ["shape: resolve 64x1  -> each core", "shape: resolve 64x1  -> shared by cores"]),
        (Method::Get, one, ["shape: get  1x16 -> each core", "shape: get  1x16 -> shared by cores"]),
        (Method::Get, four, ["shape: get  4x16 -> each core", "shape: get  4x16 -> shared by cores"]),
        (Method::Get, many, ["shape: get 64x1  -> each core", "shape: get 64x1  -> shared by cores"]),
    ]
    .into_iter()
    .map(|(method, shape, [each, shared])| Group {
        method,
        shape,
        postgres: method == Method::Get,
        servers: vec![Kind::Ours, Kind::OursEachCore, Kind::OursSharedByCores],
        rows: vec![row(each, 0, 1), row(shared, 0, 2)],
        stage: None,
    })
    .collect()
}

/// One call at a time, so that 1/calls is its latency, with more and more solutions around it.
fn scale() -> Vec<Group> {
    let mut groups = Vec::new();
    for databases in [0, 100, 1_000] {
        for recorded in [10, 1_000, 10_000] {
            let around = format!("{recorded} recorded, {databases} databases");
            let one = Shape { connections: 1, in_flight: 1 };
            let stage = Some(Stage { recorded, databases });
            groups.push(Group {
                shape: one,
                servers: vec![Kind::Echo, Kind::Ours],
                rows: vec![row(&format!("scale: resolve: echo -> ours, {around}"), 0, 1)],
                stage,
                ..resolve()
            });
            groups.push(Group {
                shape: one,
                servers: vec![Kind::Bare, Kind::Ours],
                rows: vec![row(&format!("scale: get: bare -> ours, {around}"), 0, 1)],
                stage,
                ..get()
            });
        }
    }
    groups
}

fn row(name: &str, a: usize, b: usize) -> Row {
    Row { name: name.to_owned(), a, b }
}
