//! What a metric is declared with, and how its series are made from that.

use super::label::Label;
use prometheus::core::Collector;
use prometheus::{
    Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Result,
};

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FamilyKind {
    Counter,
    Gauge,
    Histogram,
}

/// Who looks at a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A panel of `deploy/grafana`, or a rule or an alert of `deploy/prometheus`.
    Watched,
    /// Somebody who looks for a cause, by hand.
    Digging,
}

/// One metric family.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    pub name: &'static str,
    pub kind: FamilyKind,
    /// What a value counts or measures.
    pub unit: &'static str,
    /// The names of the labels, in the order in which values are given.
    pub labels: &'static [&'static str],
    /// The same labels, explained.
    pub label_docs: &'static [Label],
    /// The upper bounds of a histogram, ascending; none for what is no histogram.
    pub buckets: &'static [f64],
    pub purpose: Purpose,
    pub help: &'static str,
    /// A query that somebody would ask, in PromQL.
    pub query: &'static str,
}

impl Family {
    fn opts(&self) -> Opts {
        Opts::new(self.name, self.help)
    }

    fn histogram_opts(&self) -> HistogramOpts {
        HistogramOpts::new(self.name, self.help).buckets(self.buckets.to_vec())
    }
}

/// The series of one family: what a declaration names as its type.
pub(super) trait Metric: Collector + Clone {
    const KIND: FamilyKind;

    /// # Errors
    /// When a name is not one that Prometheus takes.
    fn of(family: Family) -> Result<Self>;
}

/// Declares metrics, each of them once:
///
/// `field: Type "name" in "unit" by [LABEL, …] Purpose "Help." "example query";`, where the unit of a histogram is
/// followed by `within BOUNDS`.
///
/// Each becomes a function that returns its [`Family`], an entry of `ALL`, and a field of `Series`.
macro_rules! metrics {
    ($(
        $metric:ident: $type:ident $name:literal in $unit:literal $(within $buckets:ident)? by [$($label:ident),*]
        $purpose:ident $help:literal $query:literal;
    )+) => {
        $(
            #[doc = $help]
            #[must_use]
            pub const fn $metric() -> Family {
                const FAMILY: Family = Family {
                    name: $name,
                    kind: <$type as Metric>::KIND,
                    unit: $unit,
                    labels: &[$($label.name),*],
                    label_docs: &[$($label),*],
                    buckets: $crate::telemetry::family::buckets!($($buckets)?),
                    purpose: Purpose::$purpose,
                    help: $help,
                    query: $query,
                };
                FAMILY
            }
        )+

        /// Every family, in the order of the documentation.
        pub const ALL: &[Family] = &[$($metric(),)+];

        /// The series of every family.
        pub(super) struct Series {
            $(#[doc = $help] pub(super) $metric: $type,)+
        }

        impl Series {
            /// Makes them all, and registers them.
            ///
            /// # Errors
            /// When a name is not valid or is declared twice, which a test of the catalogue excludes.
            pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
                let series = Self { $($metric: Metric::of($metric())?,)+ };
                $(registry.register(Box::new(series.$metric.clone()))?;)+
                Ok(series)
            }
        }
    };
}

macro_rules! buckets {
    () => {
        &[]
    };
    ($buckets:ident) => {
        $buckets
    };
}

pub(super) use {buckets, metrics};

impl Metric for IntCounter {
    const KIND: FamilyKind = FamilyKind::Counter;

    fn of(family: Family) -> Result<Self> {
        Self::with_opts(family.opts())
    }
}

impl Metric for IntCounterVec {
    const KIND: FamilyKind = FamilyKind::Counter;

    /// Where the only label has a closed set of values, each of them counts from zero, so that its first count is seen
    /// as a rise.
    fn of(family: Family) -> Result<Self> {
        let counters = Self::new(family.opts(), family.labels)?;
        if let [label] = family.label_docs {
            for (value, _) in (label.values)() {
                counters.with_label_values(&[value]);
            }
        }
        Ok(counters)
    }
}

impl Metric for IntGauge {
    const KIND: FamilyKind = FamilyKind::Gauge;

    fn of(family: Family) -> Result<Self> {
        Self::with_opts(family.opts())
    }
}

impl Metric for Gauge {
    const KIND: FamilyKind = FamilyKind::Gauge;

    fn of(family: Family) -> Result<Self> {
        Self::with_opts(family.opts())
    }
}

impl Metric for IntGaugeVec {
    const KIND: FamilyKind = FamilyKind::Gauge;

    /// A gauge without labels that is declared so is absent until it is set for the first time.
    fn of(family: Family) -> Result<Self> {
        Self::new(family.opts(), family.labels)
    }
}

impl Metric for Histogram {
    const KIND: FamilyKind = FamilyKind::Histogram;

    fn of(family: Family) -> Result<Self> {
        Self::with_opts(family.histogram_opts())
    }
}

impl Metric for HistogramVec {
    const KIND: FamilyKind = FamilyKind::Histogram;

    /// `consumer` and `route` cannot run into each other, although the vector finds a series by the joined values: a
    /// route is `other` or begins with a method or `*`, no method ends in another one, and a consumer's name has no
    /// space.
    fn of(family: Family) -> Result<Self> {
        Self::new(family.histogram_opts(), family.labels)
    }
}
