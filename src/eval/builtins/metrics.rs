//! Functions of metrics: each gives a longer PromQL expression.

use std::sync::Arc;

use rust_decimal::Decimal;

use super::units::decimal;
use super::{Arguments, Problem};
use crate::eval::promql::{duration_text, seconds};
use crate::model::value::{Condition, Metric};
use crate::model::{Data, Value};

type Run = Result<Value, Problem>;

pub fn avg_over(a: &Arguments<'_>) -> Run {
    over(a, "avg_over_time")
}

pub fn max_over(a: &Arguments<'_>) -> Run {
    over(a, "max_over_time")
}

pub fn min_over(a: &Arguments<'_>) -> Run {
    over(a, "min_over_time")
}

fn over(a: &Arguments<'_>, function: &str) -> Run {
    let (metric, window) = (metric(a)?, duration(a, 1)?);
    Ok(made(metric, format!("{function}(({})[{}:])", metric.promql, duration_text(window))))
}

pub fn predict(a: &Arguments<'_>) -> Run {
    let (metric, ahead) = (metric(a)?, duration(a, 1)?);
    Ok(made(metric, format!("predict_linear(({})[1h:], {})", metric.promql, seconds(ahead))))
}

pub fn anomalous(a: &Arguments<'_>) -> Run {
    let metric = metric(a)?;
    let deviations = match a.get(1) {
        None => Decimal::from(3),
        Some(value) => decimal(&value.data).ok_or_else(|| a.unfit(1, "a number"))?,
    };
    let series = &metric.promql;
    let promql = format!(
        "abs(({series}) - avg_over_time(({series})[1d:])) > {} * stddev_over_time(({series})[1d:])",
        deviations.normalize()
    );
    Ok(Value::engine(Data::Condition(Arc::new(Condition { promql: promql.into(), source: metric.source.clone() }))))
}

fn metric<'a>(a: &Arguments<'a>) -> Result<&'a Metric, Problem> {
    match &a.value(0)?.data {
        Data::Metric(metric) => Ok(metric),
        _ => Err(a.unfit(0, "a metric")),
    }
}

fn duration(a: &Arguments<'_>, at: usize) -> Result<i64, Problem> {
    match a.value(at)?.data {
        Data::Duration(nanos) if nanos >= 1_000_000 => Ok(nanos),
        Data::Duration(_) => Err(Problem::argument("a window is at least 1ms")),
        _ => Err(a.unfit(at, "a duration")),
    }
}

fn made(metric: &Metric, promql: String) -> Value {
    Value::engine(Data::Metric(Arc::new(Metric {
        promql: promql.into(),
        unit: metric.unit.clone(),
        source: metric.source.clone(),
    })))
}
