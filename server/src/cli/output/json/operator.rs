//! What operators are answered, as protobuf JSON.

use fbs_router_client::v1::{MoveSolutionResponse, Solution, move_solution_response::Step};
use serde_json::{Value, json};

use super::{lists::solution, name, object, text};

/// `RegisterSolutionResponse`, `ReleaseSolutionResponse`.
pub(crate) fn decided(message: &Solution) -> Value {
    json!({ "solution": solution(message) })
}

/// `MoveSolutionResponse`.
pub(crate) fn moved(message: &MoveSolutionResponse) -> Value {
    let MoveSolutionResponse { step, rows_copied, rows_total, frozen, message } = message;
    object(
        json!({
            "step": name(*step, |value: Step| value.as_str_name()),
            "rowsCopied": rows_copied.to_string(),
            "rowsTotal": rows_total.to_string(),
            "message": message,
        }),
        [("frozen", frozen.as_ref().map(text))],
    )
}
