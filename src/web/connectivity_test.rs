use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterIn};

use super::FromFields;
use super::openapi::schema::{query, query_boolean};
use crate::kernel::Fields;

/// How a configured resource is tested.
pub struct ConnectivityTestQuery {
    /// Whether only its configuration is looked at.
    pub skip_connectivity: bool,
}

impl FromFields for ConnectivityTestQuery {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self { skip_connectivity: fields.or("skip_connectivity", false) }
    }
}

impl IntoParams for ConnectivityTestQuery {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![query("skip_connectivity", "Only look at its configuration", query_boolean())]
    }
}
