//! The OpenAPI 3.1 document of a list of addresses.

use super::refusal::Refused;
use super::route::{Gives, Route, Verb, Who};
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

/// Of the addresses; it changes when an old client would no longer be understood.
const VERSION: &str = "1.0.0";
const DEFINITIONS: &str = "#/components/schemas/";

/// The document.
pub(super) fn document(routes: &[Route]) -> Value {
    let settings = SchemaSettings::draft2020_12();
    let mut schemas = settings.with(|s| s.definitions_path = DEFINITIONS[1..].into()).into_generator();
    let refused = schemas.subschema_for::<Refused>();
    let error =
        |about: &str| json!({"description": about, "content": {"application/json": {"schema": refused}}});
    let mut paths = Map::new();
    for route in routes {
        let path = route.path.replace("{*", "{");
        let within = path.split('{').skip(1).filter_map(|rest| rest.split('}').next());
        let in_path = within
            .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}));
        let in_query = route.query.iter().map(|(name, about)| {
            json!({"name": name, "in": "query", "description": about, "schema": {"type": ["string", "number"]}})
        });
        let (kind, schema) = match route.gives {
            Gives::Json(schema) => ("application/json", schema(&mut schemas)),
            Gives::Bytes(kind) => (kind, schemars::json_schema!({"type": "string"})),
        };
        let mut answers = json!({
            "200": {"description": "Done.", "content": {kind: {"schema": schema}}},
            "4XX": error("Refused: why, and what to do."),
            "5XX": error("Failed, or too busy."),
        });
        if route.path.contains("{*topic}") {
            answers["202"] = json!({"description": "It is under way; what comes of it is among the events."});
        }
        let mut operation = json!({
            "summary": route.about,
            "operationId": path.replace(|c: char| !c.is_ascii_alphanumeric(), "_").trim_matches('_'),
            "parameters": in_path.chain(in_query).collect::<Vec<_>>(),
            "responses": answers,
            "x-who": match route.who {
                Who::Anybody => "anybody",
                Who::Viewers => "viewers and operators",
                Who::Operators => "operators",
            },
            "security": if route.who == Who::Anybody { json!([{}]) } else {
                json!([{"cookie": []}, {"bearer": []}, {"basic": []}, {}])
            },
        });
        if let Some(body) = route.body {
            let schema = body(&mut schemas);
            operation["requestBody"] =
                json!({"required": true, "content": {"application/json": {"schema": schema}}});
        }
        let verb = match route.verb {
            Verb::Get => "get",
            Verb::Post => "post",
        };
        let at = paths.entry(path).or_insert_with(|| json!({}));
        at[verb] = operation;
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Planktor",
            "version": VERSION,
            "description": "A PlanktoScope over HTTP. Commands and statuses are those of the MQTT contract.",
            "license": {"name": "Apache-2.0 OR MIT", "url": "https://spdx.org/licenses/"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas.take_definitions(true),
            "securitySchemes": {
                "cookie": {"type": "apiKey", "in": "cookie", "name": "planktor"},
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic"},
            },
        },
    })
}
