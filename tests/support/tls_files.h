/* tls_files: a certificate by itself and its key, as PEM files of the test's own. */
#pragma once

struct tls_files {
    char chain[32];
    char key[32];
};

/*
 * ECDSA P-256, for NAMES ("DNS:a.example,IP:10.0.0.2"; NULL: for nobody), valid from FROM_S to TO_S
 * seconds from now. It is its own authority.
 */
void tls_files_make(struct tls_files *files, const char *names, long from_s, long to_s);
void tls_files_remove(const struct tls_files *files);
