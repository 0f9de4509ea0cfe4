//! Rounds of short windows, one after the other on servers that all live, so that whatever the machine does meanwhile
//! happens to all of them. What counts is the ratio within a round.

use std::time::Duration;

use crate::{
    Outcome,
    child::Child,
    cpu::Reading,
    load::{Load, Window},
};

/// How long and how often.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    pub(crate) window: Duration,
}

impl Effort {
    pub(crate) const FULL: Self = Self { rounds: 24, window: Duration::from_millis(200) };
    pub(crate) const QUICK: Self = Self { rounds: 4, window: Duration::from_millis(60) };
}

/// A server under load.
pub(crate) struct Contestant {
    pub(crate) child: Child,
    pub(crate) load: Load,
}

/// One window on one server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) window: Window,
    /// Nanoseconds.
    pub(crate) server: u64,
    /// Nanoseconds; 0 where no database is asked.
    pub(crate) postgres: u64,
}

/// Median and quartiles.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) q25: f64,
    pub(crate) median: f64,
    pub(crate) q75: f64,
}

impl Sample {
    /// Microseconds of processor time per call: server, Postgres.
    pub(crate) fn per_call(&self) -> (f64, f64) {
        let calls = self.window.calls.max(1) as f64 * 1_000.0;
        (self.server as f64 / calls, self.postgres as f64 / calls)
    }

    pub(crate) fn total_per_call(&self) -> f64 {
        let (server, postgres) = self.per_call();
        server + postgres
    }

    pub(crate) fn calls_per_second(&self) -> f64 {
        self.window.calls as f64 / self.window.elapsed.as_secs_f64()
    }
}

impl Spread {
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let at = |quantile: f64| {
            let place = quantile * values.len().saturating_sub(1) as f64;
            let (low, high) = (place.floor() as usize, place.ceil() as usize);
            match (values.get(low), values.get(high)) {
                (Some(low), Some(high)) => low + (high - low) * place.fract(),
                _ => f64::NAN,
            }
        };
        Self { q25: at(0.25), median: at(0.5), q75: at(0.75) }
    }
}

/// Samples by contestant, then round. `postmaster`: its processor time is measured too.
pub(crate) async fn measure(
    contestants: &[Contestant],
    postmaster: Option<u32>,
    effort: Effort,
) -> Outcome<Vec<Vec<Sample>>> {
    for contestant in contestants {
        contestant.load.window(effort.window * 2).await?;
    }
    let mut samples = vec![Vec::with_capacity(effort.rounds); contestants.len()];
    for round in 0..effort.rounds {
        for turn in 0..contestants.len() {
            // Each goes first as often as last.
            let turn = if round % 2 == 0 { turn } else { contestants.len() - 1 - turn };
            samples[turn].push(sample(&contestants[turn], postmaster, effort.window).await?);
        }
    }
    Ok(samples)
}

async fn sample(contestant: &Contestant, postmaster: Option<u32>, length: Duration) -> Outcome<Sample> {
    let read = || -> Outcome<_> {
        Ok((Reading::process(contestant.child.pid())?, postmaster.map(Reading::postgres).transpose()?))
    };
    let (server, postgres) = read()?;
    let window = contestant.load.window(length).await?;
    let (server_after, postgres_after) = read()?;
    let postgres = postgres_after.zip(postgres).map_or(0, |(after, before)| after.since(&before));
    Ok(Sample { window, server: server_after.since(&server), postgres })
}
