/* A Modbus TCP server on libmodbus, for tests: modbus_server PORT (0: any; prints "ready PORT").
 * Input register i holds 7 i; holding registers and coils can be written; discrete input i is i % 3 == 0.
 * Any request that touches holding register 60 is refused with exception 2. Units 9, 19, 29 ... never answer.
 * Unit 8 knows no mask write (function 22), unit 7 no single writes (5, 6): exception 1.
 * Holding register 1990 counts writes.
 * Holding register 90 = n delays the answer to the next read by n ms. Input register 500 counts requests. */
#include <arpa/inet.h>
#include <modbus/modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <unistd.h>

enum { UNIT = 6, FUNCTION = 7, ADDRESS = 8, COUNT = 10, REFUSED = 60, DELAY = 90, REQUESTS = 500, WRITES = 1990 };

static int word(const uint8_t *query, int at) { return query[at] << 8 | query[at + 1]; }

static void answer(modbus_t *ctx, modbus_mapping_t *map, const uint8_t *query, int length) {
    int function = query[FUNCTION], start = word(query, ADDRESS);
    int count = function == 5 || function == 6 ? 1 : word(query, COUNT);
    map->tab_input_registers[REQUESTS]++;
    if (function > 4) map->tab_registers[WRITES]++;
    if (query[UNIT] % 10 == 9) return;
    if ((query[UNIT] == 8 && function == 22) || (query[UNIT] == 7 && (function == 5 || function == 6))) {
        modbus_reply_exception(ctx, query, MODBUS_EXCEPTION_ILLEGAL_FUNCTION);
        return;
    }
    if ((function == 3 || function == 6 || function == 16) && start <= REFUSED && REFUSED < start + count) {
        modbus_reply_exception(ctx, query, MODBUS_EXCEPTION_ILLEGAL_DATA_ADDRESS);
        return;
    }
    if (function <= 4 && map->tab_registers[DELAY]) {
        int wait = map->tab_registers[DELAY];
        map->tab_registers[DELAY] = 0;
        usleep(1000 * wait);
    }
    modbus_reply(ctx, query, length, map);
}

int main(int argc, char **argv) {
    uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
    modbus_t *ctx = modbus_new_tcp("127.0.0.1", argc > 1 ? atoi(argv[1]) : 0);
    modbus_mapping_t *map = modbus_mapping_new(2000, 2000, 20000, 20000);
    struct sockaddr_in bound;
    socklen_t size = sizeof bound;
    int listening = modbus_tcp_listen(ctx, 50), highest = listening;
    fd_set all, ready;
    if (listening < 0) return perror("listen"), 1;
    getsockname(listening, (struct sockaddr *)&bound, &size);
    for (int i = 0; i < 20000; i++) map->tab_input_registers[i] = 7 * i;
    for (int i = 0; i < 2000; i++) map->tab_input_bits[i] = i % 3 == 0;
    printf("ready %d\n", ntohs(bound.sin_port));
    fflush(stdout);
    FD_ZERO(&all);
    FD_SET(listening, &all);
    for (;;) {
        ready = all;
        if (select(highest + 1, &ready, NULL, NULL, NULL) < 0) return 1;
        for (int fd = 0; fd <= highest; fd++) {
            if (!FD_ISSET(fd, &ready)) continue;
            if (fd == listening) {
                int client = accept(listening, NULL, NULL);
                FD_SET(client, &all);
                if (client > highest) highest = client;
                continue;
            }
            modbus_set_socket(ctx, fd);
            int length = modbus_receive(ctx, query);
            if (length > 0) answer(ctx, map, query, length);
            if (length < 0) { close(fd); FD_CLR(fd, &all); }
        }
    }
}
