//! Every operation has a story that covers it: this list says which, and fails when one has none.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

/// Operation, and the test that covers it: file and name. First those of the original, whose clients rely on them.
const ORIGINAL: &[(&str, &str)] = &[
    ("GET /", "api::http::the_root_names_the_server_and_its_entry_points"),
    ("GET /health", "api::http::health_says_what_is_configured"),
    ("GET /api/llm/config", "llm::config::the_gui_saves_what_it_was_shown"),
    ("PUT /api/llm/config", "llm::config::null_keeps_empty_clears_and_the_mask_keeps"),
    ("POST /api/llm/test", "llm::config::nothing_configured_is_said_in_the_words_of_the_original"),
    ("GET /api/llm/models", "llm::dialects::ollama_is_asked_as_it_expects_whatever_the_base_url_looks_like"),
    ("GET /api/llm/health", "llm::failures::an_llm_that_is_not_there"),
    ("GET /api/agents", "api::resources::a_list_is_narrowed_by_its_parameters_and_keeps_its_order"),
    (
        "GET /api/agents/{name}",
        "api::resources::what_is_left_out_has_the_originals_defaults_and_members_keep_their_order",
    ),
    (
        "POST /api/agents",
        "api::resources::an_entry_is_added_shown_changed_and_removed_and_each_step_survives_a_restart",
    ),
    ("PUT /api/agents/{name}", "api::resources::another_free_name_in_the_body_renames_and_a_taken_one_is_a_conflict"),
    ("DELETE /api/agents/{name}", "agents::health::the_gui_keeps_agents"),
    (
        "POST /api/agents/{name}/test",
        "agents::health::a_test_that_gets_no_answer_says_why_in_the_words_of_the_original",
    ),
    ("POST /api/agents/{name}/call", "agents::calls::what_could_not_be_called_has_the_originals_status"),
    (
        "GET /api/agents/health/all",
        "agents::health::the_health_of_all_is_asked_at_once_and_one_that_hangs_delays_nobody_for_good",
    ),
    ("GET /api/datasources", "api::resources::the_gui_keeps_data_sources"),
    ("GET /api/datasources/{name}", "api::resources::every_legal_name_is_reached_by_its_percent_encoded_path"),
    ("POST /api/datasources", "api::resources::values_are_read_leniently_and_what_is_unknown_is_dropped"),
    (
        "PUT /api/datasources/{name}",
        "security::resource_secrets::the_password_of_a_database_is_masked_kept_and_stays_with_its_host",
    ),
    (
        "DELETE /api/datasources/{name}",
        "api::resources::an_entry_is_added_shown_changed_and_removed_and_each_step_survives_a_restart",
    ),
    ("POST /api/datasources/{name}/test", "api::resources::a_data_source_is_tested_in_the_words_of_the_original"),
    (
        "POST /api/datasources/{name}/query",
        "datasources::rest::the_originals_protocol_is_spoken_by_every_type_whose_url_is_http",
    ),
    (
        "GET /api/datasources/{name}/schema",
        "datasources::rest::the_originals_protocol_is_spoken_by_every_type_whose_url_is_http",
    ),
    ("GET /api/datasources/{name}/tables", "datasources::rest::a_service_that_fails_is_reported_with_what_it_said"),
    ("GET /api/datasources/health/all", "api::resources::the_health_of_all_sources_is_asked_at_once"),
    ("GET /api/tools", "tools::resources::the_gui_keeps_tools"),
    (
        "GET /api/tools/{name}",
        "tools::resources::what_is_left_out_has_the_originals_defaults_and_members_keep_their_order",
    ),
    (
        "POST /api/tools",
        "tools::resources::a_configuration_that_cannot_work_is_refused_and_its_key_named_and_an_empty_one_is_kept",
    ),
    ("PUT /api/tools/{name}", "tools::resources::credentials_are_masked_kept_and_stay_with_their_server"),
    (
        "DELETE /api/tools/{name}",
        "api::resources::an_entry_is_added_shown_changed_and_removed_and_each_step_survives_a_restart",
    ),
    ("POST /api/tools/{name}/test", "tools::resources::a_tool_is_tested_in_the_words_of_the_original"),
    ("GET /api/tools/registry/schemas", "tools::resources::the_schemas_of_all_enabled_tools_are_told_in_two_forms"),
    ("GET /api/tools/types/available", "tools::resources::the_types_are_those_of_the_original_and_mcp"),
    ("GET /api/monitoring/health", "operations::monitoring::health_has_the_shape_that_clients_read"),
    ("GET /api/monitoring/metrics", "operations::monitoring::metrics_are_always_numbers"),
    ("GET /api/monitoring/status", "operations::monitoring::status_tells_what_is_in_effect_and_where_it_comes_from"),
    ("GET /api/monitoring/connectivity", "operations::monitoring::connectivity_has_the_shape_that_clients_read"),
    ("GET /api/monitoring/logs", "operations::logs::lines_are_found_by_what_they_are_about"),
    ("GET /api/memory/{user_id}/history", "memory::messages::messages_are_added_in_both_ways_and_read_newest_first"),
    ("GET /api/memory/{user_id}/context", "memory::messages::the_context_is_the_newest_turns_that_fit_in_order"),
    (
        "GET /api/memory/{user_id}/summary",
        "memory::summary::the_oldest_turns_are_summarized_and_the_summary_enters_the_context",
    ),
    ("GET /api/memory/{user_id}/stats", "memory::messages::statistics_count_code_points"),
    ("DELETE /api/memory/{user_id}", "memory::messages::clearing_takes_one_conversation_and_no_other"),
    ("POST /api/memory/{user_id}/message", "memory::messages::messages_are_added_in_both_ways_and_read_newest_first"),
    ("GET /api/memory/config", "memory::messages::the_module_tells_how_it_is_set_up"),
    ("GET /api/memory/health", "memory::messages::the_module_tells_how_it_is_set_up"),
    ("POST /v1/chat", "chat::conversation::a_question_is_answered_and_both_turns_are_remembered"),
    ("GET /v1/chat/health", "api::http::head_says_what_get_would_without_the_body"),
];

/// What came with this server.
const OURS: &[(&str, &str)] = &[
    ("GET /api/auth/me", "security::identity::keys::what_says_who_calls_is_read_once_and_strictly"),
    (
        "GET /api/auth/usage",
        "security::identity::limits::an_administrator_sees_what_a_key_has_used_and_nobody_else_does",
    ),
    ("POST /api/auth/token", "security::identity::keys::a_token_is_narrowed_short_lived_and_made_from_a_key_only"),
    ("POST /api/auth/ticket", "security::identity::keys::a_token_is_narrowed_short_lived_and_made_from_a_key_only"),
    (
        "GET /api/auth/keys",
        "security::identity::keys::a_key_is_shown_once_lists_without_its_text_and_ends_when_it_is_revoked",
    ),
    ("POST /api/auth/keys", "security::identity::keys::nobody_makes_a_key_that_may_more_than_they"),
    (
        "DELETE /api/auth/keys/{id}",
        "security::identity::keys::a_key_is_shown_once_lists_without_its_text_and_ends_when_it_is_revoked",
    ),
    ("GET /api/audit", "security::identity::audit::every_change_and_every_refusal_is_told_with_who_and_what"),
    (
        "POST /api/chat/evaluate",
        "grounding::evaluation::an_evaluation_tells_hits_misses_and_what_has_changed_and_does_nothing",
    ),
    (
        "GET /api/chat/ui/models",
        "gui::chat_page::the_models_are_those_that_the_server_lists_or_the_configured_one_and_never_an_error",
    ),
    ("GET /api/chat/ui/profiles", "gui::recorded_chat_page::version_a_works_as_it_did"),
    ("GET /api/chat/ui/conversations", "gui::recorded_chat_page::version_a_works_as_it_did"),
    ("POST /api/chat/ui/conversations", "gui::recorded_chat_page::version_b_works_as_it_did"),
    ("GET /api/chat/ui/conversations/{id}", "gui::recorded_chat_page::version_a_works_as_it_did"),
    ("DELETE /api/chat/ui/conversations/{id}", "gui::recorded_chat_page::version_a_works_as_it_did"),
    ("POST /api/chat/ui/send", "gui::recorded_chat_page::version_a_works_as_it_did"),
    ("POST /api/chat/ui/send/stream", "gui::chat_page_in_browser::the_chat_page_works_in_a_browser_on_both_ports"),
    (
        "GET /api/chat/ui/prompt-profiles",
        "gui::chat_page::the_active_prompt_profile_is_told_to_the_model_before_the_conversation",
    ),
    ("POST /api/chat/ui/prompt-profiles", "gui::chat_page_failures::there_are_only_so_many_prompt_profiles"),
    ("GET /api/chat/ui/metrics", "gui::chat_page::figures_count_what_was_answered_and_what_was_not"),
    ("GET /api/config/history", "replicas::history::changes_are_told_compared_and_undone_in_files"),
    ("GET /api/config/revisions/{number}", "replicas::history::changes_are_told_compared_and_undone_in_files"),
    ("GET /api/config/revisions/{number}/diff", "replicas::history::changes_are_told_compared_and_undone_in_files"),
    ("POST /api/config/rollback", "replicas::history::changes_are_told_compared_and_undone_in_files"),
    ("GET /livez", "api::http::the_probes_say_alive_and_ready"),
    ("GET /readyz", "api::http::the_probes_say_alive_and_ready"),
    ("DELETE /api/llm/config", "llm::config::forgetting_the_changes_returns_to_the_environment"),
    ("POST /api/tools/{name}/execute", "tools::resources::a_tool_that_cannot_be_run_says_why"),
    (
        "GET /api/datasources/{name}/verified",
        "datasources::verified::questions_are_listed_changed_replaced_and_removed",
    ),
    (
        "PUT /api/datasources/{name}/verified",
        "datasources::verified::questions_are_listed_changed_replaced_and_removed",
    ),
    (
        "POST /api/datasources/{name}/verified",
        "datasources::verified::a_query_that_may_not_run_is_refused_and_says_why",
    ),
    (
        "DELETE /api/datasources/{name}/verified",
        "datasources::verified::questions_are_listed_changed_replaced_and_removed",
    ),
    (
        "GET /api/datasources/{name}/verified/{id}",
        "datasources::verified::a_question_is_kept_with_what_its_query_takes_and_uses",
    ),
    (
        "PUT /api/datasources/{name}/verified/{id}",
        "datasources::verified::questions_are_listed_changed_replaced_and_removed",
    ),
    (
        "DELETE /api/datasources/{name}/verified/{id}",
        "datasources::verified::questions_are_listed_changed_replaced_and_removed",
    ),
    (
        "POST /v1/executions/{id}/steps/{step}/verify",
        "chat::verified::a_step_becomes_a_verified_question_that_the_next_chat_is_answered_by",
    ),
    ("GET /v1/executions", "chat::conversation::executions_are_recorded_with_their_steps_and_listed_page_by_page"),
    (
        "GET /v1/executions/{id}/events",
        "chat::events::the_ids_of_a_stream_are_the_numbers_of_the_log_where_its_reader_goes_on",
    ),
    ("GET /v1/executions/{id}", "chat::conversation::executions_are_recorded_with_their_steps_and_listed_page_by_page"),
    ("POST /api/llm/config", "gui::llm_page::version_a_saves_its_form_and_the_connection_works"),
    ("GET /api/config/llm-connections", "gui::llm_page::version_b_tests_what_it_saves_and_lists_it"),
    ("POST /api/config/llm-connections", "gui::llm_page::what_can_not_work_is_not_saved_and_the_page_says_why"),
    ("DELETE /api/config/llm-connections/{id}", "gui::llm_page::version_b_tests_what_it_saves_and_lists_it"),
    ("GET /api/config/llm-connections/{id}/models", "gui::llm_page::version_b_tests_what_it_saves_and_lists_it"),
    ("POST /api/config/llm-connections/{id}/test", "gui::llm_page::a_connection_that_there_is_not_is_named"),
    ("GET /api/topology/graph", "gui::topology_page::the_graph_shows_what_is_configured_and_how_it_is"),
    ("POST /api/topology/test-component", "gui::topology_page::each_node_is_tested_by_its_own_module"),
    ("POST /api/topology/execute", "gui::topology_runs::an_execution_is_a_real_one_and_is_followed_to_its_end"),
    ("GET /api/topology/execution/{id}", "gui::topology_runs::an_execution_is_a_real_one_and_is_followed_to_its_end"),
    ("DELETE /api/topology/execution/{id}", "gui::topology_runs::stopping_ends_the_work_upstream_and_is_recorded"),
    ("GET /api/memory/stats", "gui::memory_page::the_numbers_are_true_and_clearing_forgets_conversations_and_answers"),
    ("POST /api/memory/clear", "gui::memory_page::the_numbers_are_true_and_clearing_forgets_conversations_and_answers"),
    ("DELETE /api/memory/stats", "gui::memory_page::users_whose_name_is_a_path_of_the_page_are_users_like_all_others"),
    ("DELETE /api/memory/clear", "gui::memory_page::users_whose_name_is_a_path_of_the_page_are_users_like_all_others"),
    ("GET /api/routers", "gui::setup_pages::the_page_of_routers_and_planners_shows_and_tries_the_real_ones"),
    ("GET /api/routers/{name}", "gui::setup_pages::the_page_of_routers_and_planners_shows_and_tries_the_real_ones"),
    (
        "POST /api/routers/{name}/test",
        "gui::setup_pages::the_page_of_routers_and_planners_shows_and_tries_the_real_ones",
    ),
    ("GET /api/planners", "gui::setup_pages::the_page_of_routers_and_planners_shows_and_tries_the_real_ones"),
    ("GET /api/planners/{name}", "gui::setup_pages::the_page_of_routers_and_planners_shows_and_tries_the_real_ones"),
    (
        "POST /api/planners/{name}/test",
        "gui::setup_pages::the_page_of_routers_and_planners_shows_and_tries_the_real_ones",
    ),
    (
        "GET /api/credentials",
        "gui::setup_pages::where_there_is_nothing_to_manage_the_pages_are_told_where_it_is_managed",
    ),
    ("GET /api/certs", "gui::setup_pages::where_there_is_nothing_to_manage_the_pages_are_told_where_it_is_managed"),
    (
        "GET /api/config/timeout",
        "gui::setup_pages::where_there_is_nothing_to_manage_the_pages_are_told_where_it_is_managed",
    ),
];

/// What is served, but is no part of the API and its document.
const BESIDES: &[(&str, &str)] = &[
    ("GET /docs", "api::docs_page::the_explorer_shows_every_operation_and_loads_nothing_from_elsewhere"),
    ("GET /openapi.json", "api::openapi::the_server_serves_the_committed_document"),
    ("GET /metrics", "operations::metrics::figures_move_by_what_happened"),
];

fn documented() -> BTreeSet<String> {
    let document: Value = serde_json::from_str(include_str!("../../openapi.json")).unwrap();
    let of_path = |(path, verbs): (&String, &Value)| -> Vec<String> {
        verbs.as_object().unwrap().keys().map(|verb| format!("{} {path}", verb.to_uppercase())).collect()
    };
    document["paths"].as_object().unwrap().iter().flat_map(of_path).collect()
}

/// What is wrong with naming this test for this operation.
fn fault(operation: &str, test: &str) -> Option<String> {
    let (file, name) = test.rsplit_once("::").unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/it/{}.rs", file.replace("::", "/")));
    let Ok(source) = std::fs::read_to_string(path) else { return Some(format!("{operation}: no file {file}.rs")) };
    let is_test = |head: &str| {
        source.contains(&format!("#[{head}]\nfn {name}(")) || source.contains(&format!("#[{head}]\nasync fn {name}("))
    };
    let flavors = ["test", "tokio::test", "tokio::test(flavor = \"multi_thread\")"];
    if !flavors.into_iter().any(is_test) {
        return Some(format!("{operation}: no test {name} in {file}.rs"));
    }
    let literal = operation.rsplit(['/', ' ']).find(|part| !part.starts_with('{')).unwrap_or_default();
    // What the three modules are called stands in one place.
    let shared = include_str!("../common/resources.rs");
    let mentions = source.contains(literal) || source.contains("common::resources") && shared.contains(literal);
    (!literal.is_empty() && !mentions).then(|| format!("{operation}: {file}.rs does not even mention {literal}"))
}

#[test]
fn every_operation_has_a_test_that_covers_it() {
    let all = ORIGINAL.iter().chain(OURS).chain(BESIDES);
    let faults: Vec<_> = all.filter_map(|(operation, test)| fault(operation, test)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));

    let listed: BTreeSet<_> = ORIGINAL.iter().chain(OURS).map(|(operation, _)| (*operation).to_owned()).collect();
    let documented = documented();
    let missing: Vec<_> = documented.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(&documented).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "without a test in this list: {missing:?}; no longer served: {gone:?}"
    );
    assert_eq!(
        (ORIGINAL.len(), listed.len()),
        (48, ORIGINAL.len() + OURS.len()),
        "the original has 48, each listed once"
    );
}

#[test]
fn a_test_that_is_none_is_noticed() {
    assert!(fault("GET /", "api::http::no_such_test").is_some());
    assert!(fault("GET /", "nowhere::the_root").is_some());
    assert!(fault("GET /api/unheard-of", "api::http::the_probes_say_alive_and_ready").is_some());
}
