/* What the configuration says about TLS, and what workers get of it. */
#include "control/certificates.h"
#include "dataplane/base/check.h"
#include "tests/support/tls_files.h"
#include "tests/unit/control/config_document.h"

#include <stdarg.h>
#include <time.h>

#define EU "services[0].regions.eu"

static struct tls_files files;

static int make_files(void **state)
{
    tls_files_make(&files, "DNS:backend.example", 0, 3600);
    return 0;
}

static int remove_files(void **state)
{
    tls_files_remove(&files);
    return 0;
}

/* {'ca_file': our own, KEY: VALUE}. */
static json_t *tls_with(const char *key, json_t *value)
{
    json_t *tls = json_pack("{s:s}", "ca_file", files.chain);
    if (key != NULL)
        json_object_set_new(tls, key, value);
    return tls;
}

static void expect_one_finding(const char *path, const char *key, json_t *value, const char *text)
{
    struct config_findings findings = {0};
    assert_null(read_with(path, key, value, &findings));
    if (findings.count != 1 || strstr(findings.lines[0], text) == NULL)
        fail_msg("%u findings, the first one: %s", findings.count, findings.lines[0]);
    config_findings_free(&findings);
}

static struct config *expect_good(const char *path, json_t *tls)
{
    struct config_findings findings = {0};
    struct config *config = read_with(path, "tls", tls, &findings);
    if (config == NULL)
        fail_msg("%s", findings.lines[0]);
    return config;
}

static void backends_speak_clear_text_unless_they_are_told(void **state)
{
    struct config_findings findings = {0};
    struct config *config = read_with("", "node", json_string("edge-1"), &findings);
    assert_non_null(config);
    assert_false(config->backends[0].tls.on || config->backends[1].tls.on);
    assert_null(config->tls);
    assert_false(certificates_need_memory(config));
    config_free(config);
}

static void a_regions_tls_is_for_its_backends_and_theirs_is_what_differs(void **state)
{
    struct config_findings findings = {0};
    json_t *region = json_pack("{s:{s:s, s:s}, s:[{s:s, s:i}, {s:s, s:i, s:{s:s, s:b}}]}", "tls",
                               "ca_file", files.chain, "server_name", "all.example", "backends",
                               "address", "10.1.1.1", "port", 1, "address", "10.1.1.2", "port", 2,
                               "tls", "server_name", "one.example", "verify", 0);
    struct config *config = read_with("services[0].regions", "eu", region, &findings);
    if (config == NULL)
        fail_msg("%s", findings.lines[0]);
    const struct config_backend *backends = config->backends;
    assert_int_equal(config->backend_count, 3);
    assert_true(backends[0].tls.on && backends[1].tls.on && !backends[2].tls.on);
    assert_true(backends[0].tls.verify && !backends[1].tls.verify);
    assert_string_equal(backends[0].tls.server_name, "all.example");
    assert_string_equal(backends[1].tls.server_name, "one.example");
    assert_string_equal(backends[1].tls.ca_file, files.chain);
    assert_non_null(tls_contexts_target(config->tls, 1, 0));
    assert_true(certificates_need_memory(config));
    config_free(config);
}

static void what_is_wrong_is_named(void **state)
{
    json_t *backends = json_pack("[{s:s, s:i, s:i}]", "address", "10.1.1.1", "port", 1, "tls", 5);
    expect_one_finding(EU, "tls", json_true(), EU ".tls: is true or false; expected an object");
    expect_one_finding(EU, "backends", backends, EU ".backends[0].tls: is a number");
    expect_one_finding(EU, "tls", json_pack("{s:s}", "server", "x"),
                       EU ".tls.server: is not a key");
    expect_one_finding(EU, "tls", json_pack("{s:s}", "ca_file", "/no/such/file"),
                       EU ".backends: eu-1: tls.ca_file: /no/such/file");
    expect_one_finding(EU, "tls", json_pack("{s:s}", "ca_file", files.key), "to trust");
    expect_one_finding(EU, "tls", tls_with("certificate", json_string("ours")),
                       "there is no certificate \"ours\"");
    expect_one_finding(EU, "tls", tls_with("policy", json_string("old")), EU ".tls.policy");
}

static json_t *document_with(json_t *certificate, const char *path, json_t *tls)
{
    json_t *document = parse(base);
    json_t *list = json_array();
    json_object_set_new(certificate, "chain_file", json_string(files.chain));
    json_object_set_new(certificate, "key_file", json_string(files.key));
    json_array_append_new(list, certificate);
    json_object_set_new(document, "certificates", list);
    json_object_set_new(at(document, path), "tls", tls);
    return document;
}

static json_t *named_one(void)
{
    return json_pack("{s:s}", "name", "one");
}

static void a_listeners_file_is_named_with_the_listener(void **state)
{
    struct config_findings findings = {0};
    json_t *tls = json_pack("{s:[s], s:s, s:s}", "certificates", "one", "client_certificate",
                            "require", "client_ca_file", "/no/such/file");
    json_t *document = document_with(named_one(), "listeners[0]", tls);
    assert_null(config_read_json(document, NULL, &findings));
    assert_int_equal(findings.count, 1);
    assert_non_null(strstr(findings.lines[0], "listeners[0].tls.client_ca_file: /no/such/file"));
    config_findings_free(&findings);
    json_decref(document);
}

/* The files' one ends in an hour; without it there is none. */
static void the_first_certificate_that_ends_is_known(void **state)
{
    const char *const paths[] = {"listeners[0]", EU};
    uint64_t soon_ms = (uint64_t)time(NULL) * 1000 + 3600000;
    for (size_t i = 0; i < array_count(paths); i++) {
        struct config_findings findings = {0};
        json_t *tls = i == 0 ? json_pack("{s:[s]}", "certificates", "one")
                             : tls_with("certificate", json_string("one"));
        json_t *document = document_with(named_one(), paths[i], tls);
        struct config *config = config_read_json(document, NULL, &findings);
        assert_non_null(config);
        uint64_t ends_ms = certificates_expire_ms(config->tls);
        assert_in_range(ends_ms, soon_ms - 600000, soon_ms);
        config_free(config);
        json_decref(document);
    }
    struct config *without = expect_good(EU, tls_with(NULL, NULL));
    assert_int_equal(certificates_expire_ms(without->tls), 0);
    config_free(without);
}

/* What OpenSSL would take for no name, or for more than one, is none. */
static void a_backend_proves_one_name(void **state)
{
    static const char *const names[] = {".example", "*.example", "a..example", "a b",
                                        "a/b",      "a:8443",    ".",          "ex\xc3\xa4mple"};
    static const char *const authorities[] = {":8443", "[]:1", ".example:1", "*"};
    static const char *const good[] = {"a.example.", "A-1_b.example", "10.1.1.1", "fd00::1"};
    for (size_t i = 0; i < array_count(names); i++)
        expect_one_finding(EU, "tls", tls_with("server_name", json_string(names[i])),
                           "expected a host name or an address");
    for (size_t i = 0; i < array_count(authorities); i++) {
        json_t *document = parse(base);
        struct config_findings findings = {0};
        json_object_set_new(at(document, "services[0]"), "authority", json_string(authorities[i]));
        json_object_set_new(at(document, EU), "tls", tls_with(NULL, NULL));
        assert_null(config_read_json(document, NULL, &findings));
        assert_non_null(strstr(findings.lines[0], "expected a host name or an address"));
        config_findings_free(&findings);
        json_decref(document);
    }
    for (size_t i = 0; i < array_count(good); i++)
        config_free(expect_good(EU, tls_with("server_name", json_string(good[i]))));
}

/* The same backend with other rules is another one: nothing made by the old ones is used on. */
static void other_rules_are_another_backend(void **state)
{
    struct config *before = expect_good(EU, tls_with(NULL, NULL));
    struct config_findings findings = {0};
    static const struct {
        const char *key;
        const char *value;
    } changes[] = {{NULL, NULL}, {"server_name", "x.example"}, {"policy", "modern"}};
    for (size_t i = 0; i < array_count(changes); i++) {
        json_t *value = changes[i].value != NULL ? json_string(changes[i].value) : NULL;
        json_t *document = parse(base);
        json_object_set_new(at(document, EU), "tls", tls_with(changes[i].key, value));
        struct config *after = config_read_json(document, before, &findings);
        assert_non_null(after);
        bool same = after->backends[0].generation == before->backends[0].generation;
        assert_int_equal(same, i == 0);
        assert_int_equal(after->backends[1].generation, before->backends[1].generation);
        config_free(after);
        json_decref(document);
    }
    config_free(before);
}

/* Without a name of its own a backend has proved its service's. */
static void another_authority_is_another_name_to_prove(void **state)
{
    for (uint32_t named = 0; named < 2; named++) {
        json_t *tls = tls_with(named ? "server_name" : NULL, named ? json_string("a.test") : NULL);
        struct config *before = expect_good(EU, json_incref(tls));
        struct config_findings findings = {0};
        json_t *document = parse(base);
        json_object_set_new(at(document, EU), "tls", tls);
        json_object_set_new(at(document, "services[0]"), "authority", json_string("b.test"));
        struct config *after = config_read_json(document, before, &findings);
        assert_non_null(after);
        bool same = after->backends[0].generation == before->backends[0].generation;
        assert_int_equal(same, named);
        assert_int_equal(after->backends[1].generation, before->backends[1].generation);
        config_free(after);
        config_free(before);
        json_decref(document);
    }
}

static void the_first_tls_needs_memory_and_so_a_restart(void **state)
{
    struct config_findings findings = {0};
    struct config *without = read_with("", "node", json_string("edge-1"), &findings);
    struct config *with = expect_good(EU, tls_with(NULL, NULL));
    config_needs_restart(without, with, &findings);
    assert_int_equal(findings.count, 1);
    assert_non_null(strstr(findings.lines[0], "certificates"));
    config_findings_free(&findings);
    config_needs_restart(with, without, &findings);
    assert_int_equal(findings.count, 0);
    config_free(without);
    config_free(with);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(backends_speak_clear_text_unless_they_are_told),
        cmocka_unit_test(a_regions_tls_is_for_its_backends_and_theirs_is_what_differs),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(a_listeners_file_is_named_with_the_listener),
        cmocka_unit_test(the_first_certificate_that_ends_is_known),
        cmocka_unit_test(a_backend_proves_one_name),
        cmocka_unit_test(another_authority_is_another_name_to_prove),
        cmocka_unit_test(other_rules_are_another_backend),
        cmocka_unit_test(the_first_tls_needs_memory_and_so_a_restart),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
