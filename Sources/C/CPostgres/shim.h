// libpq as it is, and a way to keep the server's notices off standard error.
#pragma once
#include <libpq-fe.h>

static inline void cpostgres_ignore_notice(void *user, const PGresult *result) {
  (void)user;
  (void)result;
}
static inline void cpostgres_ignore_notices(PGconn *connection) {
  PQsetNoticeReceiver(connection, cpostgres_ignore_notice, NULL);
}
