use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{OpenApi, PathItem};

use crate::identity::operations::{OperationAccess, OperationMap, access};
use crate::kernel::Permission;

const BEARER: &str = "bearer";
const KEY: &str = "api_key";

/// What each operation of a document needs, by where the document has it.
pub fn operations_of(document: &OpenApi) -> OperationMap {
    let mut operations = OperationMap::default();
    for (path, item) in &document.paths.paths {
        for (method, operation) in methods(item) {
            operations.add(path, method, operation.operation_id.as_deref().unwrap_or_default());
        }
    }
    operations
}

/// Says in a document how to say who calls, and which scope each operation needs.
pub fn describe_access(mut document: OpenApi) -> OpenApi {
    for item in document.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete];
        operations.into_iter().flatten().for_each(describe_operation);
    }
    let components = document.components.get_or_insert_default();
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some(format!("An API key, or a token. Where AUTH_ENABLED is true. {}", scopes_explained())))
        .build();
    components.security_schemes.insert(BEARER.to_owned(), SecurityScheme::Http(bearer).into());
    let key = ApiKeyValue::with_description("X-API-Key", "An API key. Where AUTH_ENABLED is true.");
    components.security_schemes.insert(KEY.to_owned(), SecurityScheme::ApiKey(ApiKey::Header(key)).into());
    document
}

/// The document of a server that does not tell callers apart.
pub fn without_access(mut document: OpenApi) -> OpenApi {
    for item in document.paths.paths.values_mut() {
        for operation in [&mut item.get, &mut item.put, &mut item.post, &mut item.delete].into_iter().flatten() {
            operation.security = None;
        }
    }
    document
}

fn methods(item: &PathItem) -> impl Iterator<Item = (&'static str, &Operation)> {
    let all = [("GET", &item.get), ("PUT", &item.put), ("POST", &item.post), ("DELETE", &item.delete)];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_ref()?)))
}

fn describe_operation(operation: &mut Operation) {
    let needed = operation.operation_id.as_deref().and_then(access);
    let scopes = match needed {
        None | Some(OperationAccess::Public) => return,
        Some(needed) => needed.scopes(),
    };
    operation.security = Some([BEARER, KEY].map(|scheme| SecurityRequirement::new(scheme, scopes.clone())).into());
    if !scopes.is_empty() {
        let before = operation.description.take().map(|text| format!("{text}\n\n")).unwrap_or_default();
        let scopes: Vec<_> = scopes.iter().map(|scope| format!("`{scope}`")).collect();
        let (noun, scopes) = (if scopes.len() == 1 { "scope" } else { "scopes" }, scopes.join(", "));
        operation.description = Some(format!("{before}With authentication, needs the {noun} {scopes}."));
    }
}

fn scopes_explained() -> String {
    let scopes = Permission::ALL.map(|(_, name, purpose)| format!("`{name}`: {purpose}."));
    format!("Scopes: {}", scopes.join(" "))
}
