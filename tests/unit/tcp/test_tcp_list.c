/* The lists of connections against arrays, over random operations. */
#include "dataplane/tcp/tcp_list.h"

#include "dataplane/base/random.h"
#include "tests/support/cmocka.h"

#include <string.h>

#define CONNS 9u
#define STEPS 200000

/* As in struct tcp_conn: the links of one lie TCP_CONN_BYTES behind those of the one before. */
static union {
    struct tcp_link links[TCP_LINKS];
    uint8_t bytes[TCP_CONN_BYTES];
} conns[CONNS];

static struct tcp_lists lists;

static struct {
    uint32_t count;
    uint32_t of[CONNS];
} model[TCP_LISTS];

static void open_lists(void)
{
    memset(conns, 0, sizeof(conns));
    memset(model, 0, sizeof(model));
    tcp_lists_init(&lists, conns, CONNS);
}

/* Forwards and backwards, and what the functions say. */
static void assert_order(enum tcp_list list)
{
    uint32_t head = tcp_list_head(&lists, list);
    uint32_t count = model[list].count;
    assert_int_equal(tcp_list_is_empty(&lists, list), count == 0);
    uint32_t at = tcp_list_first(&lists, list);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(at, model[list].of[i]);
        at = tcp_list_after(&lists, list, at);
    }
    assert_int_equal(at, TCP_NOBODY);
    at = lists.heads[list].previous;
    for (uint32_t i = count; i > 0; i--) {
        assert_int_equal(at, model[list].of[i - 1]);
        at = tcp_link_at(&lists, tcp_list_kind(list), at)->previous;
    }
    assert_int_equal(at, head);
}

static void assert_all(void)
{
    bool linked[TCP_LINKS][CONNS + 1] = {{false}};
    for (enum tcp_list list = 0; list < TCP_LISTS; list++) {
        assert_order(list);
        for (uint32_t i = 0; i < model[list].count; i++)
            linked[tcp_list_kind(list)][model[list].of[i]] = true;
    }
    for (enum tcp_link_kind kind = 0; kind < TCP_LINKS; kind++)
        for (uint32_t at = 1; at <= CONNS; at++)
            assert_int_equal(tcp_link_at(&lists, kind, at)->next != 0, linked[kind][at]);
}

static void model_remove(enum tcp_link_kind kind, uint32_t at)
{
    for (enum tcp_list list = 0; list < TCP_LISTS; list++) {
        if (tcp_list_kind(list) != kind)
            continue;
        uint32_t kept = 0;
        for (uint32_t i = 0; i < model[list].count; i++)
            if (model[list].of[i] != at)
                model[list].of[kept++] = model[list].of[i];
        model[list].count = kept;
    }
}

static void push(enum tcp_list list, uint32_t at)
{
    if (tcp_link_at(&lists, tcp_list_kind(list), at)->next != 0)
        return;
    tcp_list_push_back(&lists, list, at);
    model[list].of[model[list].count++] = at;
}

static void take_out(enum tcp_link_kind kind, uint32_t at)
{
    tcp_list_remove(&lists, kind, at);
    model_remove(kind, at);
}

static void pop(enum tcp_list list)
{
    uint32_t expected = model[list].count > 0 ? model[list].of[0] : TCP_NOBODY;
    assert_int_equal(tcp_list_pop_front(&lists, list), expected);
    model_remove(tcp_list_kind(list), expected);
}

static void move_all(enum tcp_list from, enum tcp_list to)
{
    tcp_list_move_all(&lists, from, to);
    for (uint32_t i = 0; i < model[from].count; i++)
        model[to].of[model[to].count++] = model[from].of[i];
    model[from].count = 0;
}

static void new_lists_are_empty(void **state)
{
    open_lists();
    assert_all();
    for (enum tcp_list list = 0; list < TCP_LISTS; list++)
        assert_int_equal(tcp_list_pop_front(&lists, list), TCP_NOBODY);
}

static void first_in_first_out(void **state)
{
    open_lists();
    for (uint32_t at = CONNS; at > 0; at--)
        push(TCP_LIST_READY, at);
    assert_all();
    for (uint32_t at = CONNS; at > 0; at--)
        assert_int_equal(tcp_list_pop_front(&lists, TCP_LIST_READY), at);
    assert_true(tcp_list_is_empty(&lists, TCP_LIST_READY));
}

static void out_of_the_list_it_is_in_whichever_that_is(void **state)
{
    open_lists();
    push(TCP_LIST_OUT, 1);
    push(TCP_LIST_AGAIN, 2);
    push(TCP_LIST_READY, 1); /* another link: stays */
    take_out(TCP_LINK_OUT, 2);
    take_out(TCP_LINK_OUT, 1);
    take_out(TCP_LINK_OUT, 1); /* in none: nothing */
    assert_all();
    assert_int_equal(tcp_list_first(&lists, TCP_LIST_READY), 1);
}

static void moving_keeps_the_order(void **state)
{
    open_lists();
    push(TCP_LIST_OUT, 3);
    push(TCP_LIST_AGAIN, 2);
    push(TCP_LIST_AGAIN, 1);
    move_all(TCP_LIST_AGAIN, TCP_LIST_OUT);
    assert_all();
    move_all(TCP_LIST_AGAIN, TCP_LIST_OUT); /* nothing */
    assert_all();
}

static void anything_in_any_order(void **state)
{
    struct random random;
    random_seed(&random, 5);
    open_lists();
    for (int i = 0; i < STEPS; i++) {
        enum tcp_list list = (enum tcp_list)random_below(&random, TCP_LISTS);
        uint32_t at = 1 + random_below(&random, CONNS);
        switch (random_below(&random, 8)) {
        case 0:
        case 1:
            take_out(tcp_list_kind(list), at);
            break;
        case 2:
            pop(list);
            break;
        case 3:
            move_all(TCP_LIST_AGAIN, TCP_LIST_OUT);
            break;
        default:
            push(list, at);
            break;
        }
        assert_all();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_lists_are_empty),
        cmocka_unit_test(first_in_first_out),
        cmocka_unit_test(out_of_the_list_it_is_in_whichever_that_is),
        cmocka_unit_test(moving_keeps_the_order),
        cmocka_unit_test(anything_in_any_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
