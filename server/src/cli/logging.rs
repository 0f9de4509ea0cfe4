//! Logs: text for people, JSON for machines, on standard error.

use std::any::Any;

use clap::{Args, ValueEnum};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{EnvFilter, Layer, filter::filter_fn, layer::SubscriberExt, util::SubscriberInitExt};

/// How logs look.
#[derive(Debug, Args)]
pub(crate) struct Logging {
    /// What is logged: a level, or directives such as `info,fbs_router=debug`; a service logs `info`, other commands `error`.
    #[arg(long, global = true, env = "FBS_ROUTER_LOG", value_name = "FILTER")]
    log: Option<String>,
    /// As what.
    #[arg(long, global = true, env = "FBS_ROUTER_LOG_FORMAT", default_value = "text", value_name = "FORMAT")]
    log_format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// Logs panics, without their text: it may quote what they were about, such as a title that was cut in two.
pub(crate) fn panics() {
    std::panic::set_hook(Box::new(|panic| {
        let at = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(at, what = what(panic.payload()), "panicked");
    }));
}

/// The text of a panic that is the same in each: one that stands in the source as it is.
fn what(payload: &(dyn Any + Send)) -> &'static str {
    payload.downcast_ref::<&'static str>().copied().unwrap_or("its text may hold data and is left out")
}

/// Starts logging at `level` unless told otherwise. A filter that cannot be read falls back to `info`, and says so.
pub(crate) fn start(logging: &Logging, level: &str) {
    let (filter, problem) = match EnvFilter::try_new(logging.log.as_deref().unwrap_or(level)) {
        Ok(filter) => (filter, None),
        Err(problem) => (EnvFilter::new("info"), Some(problem)),
    };
    // The driver logs bind values at DEBUG: tenants' data. No filter lets that through.
    let guard = filter_fn(|metadata| {
        !metadata.target().starts_with("tokio_postgres") || *metadata.level() <= LevelFilter::INFO
    });
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let layer = match logging.log_format {
        Format::Text => layer.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).boxed(),
        Format::Json => layer.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(guard).with(layer.with_filter(filter)).init();
    if let Some(problem) = problem {
        tracing::warn!(%problem, "--log cannot be read; using info");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_tells_its_text_only_if_that_stands_in_the_source() {
        let told = |panic: fn()| what(&*std::panic::catch_unwind(panic).unwrap_err());
        assert_eq!(told(|| panic!("as it is")), "as it is");
        let title = std::hint::black_box("caché");
        let cut = std::panic::catch_unwind(|| title[..5].len()).unwrap_err();
        assert!(cut.downcast_ref::<String>().is_some_and(|text| text.contains("caché")), "the danger is real");
        assert!(!what(&*cut).contains("caché"));
    }
}
