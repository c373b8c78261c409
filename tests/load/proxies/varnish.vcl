# Varnish 7.1 on one core, as a proxy: nothing is cached. HTTP/2 from clients, kept-alive HTTP/1.1 to
# origins (it has no HTTP/2 there).
vcl 4.1;
import directors;
backend one { .host = "$one"; .port = "$h1_port"; }
backend two { .host = "$two"; .port = "$h1_port"; }
sub vcl_init {
    new origins = directors.round_robin();
    origins.add_backend(one);
    origins.add_backend(two);
}
sub vcl_recv {
    set req.backend_hint = origins.backend();
    return (pass);
}
