/* The two ends of Unix sockets, by sock_diag(7). Called by far_end.c and those who look at runs from outside. Takes no locks; allocates with malloc. */
#include "peers.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void add(struct peers *p, u32 socket, u32 peer)
{
    struct peer *more = p->n & (p->n - 1) ? p->pair : realloc(p->pair, (p->n ? 2 * p->n : 1) * sizeof *more);
    if (!more)
        abort();
    p->pair = more;
    more[p->n++] = (struct peer){socket, peer};
}

static void take(struct peers *p, const struct nlmsghdr *h)
{
    const struct unix_diag_msg *m = NLMSG_DATA(h);
    int left = (int)(h->nlmsg_len - NLMSG_LENGTH(sizeof *m));
    for (const struct rtattr *a = (const struct rtattr *)(m + 1); RTA_OK(a, left); a = RTA_NEXT(a, left))
        if (a->rta_type == UNIX_DIAG_PEER && RTA_PAYLOAD(a) >= sizeof(u32))
            add(p, m->udiag_ino, *(const u32 *)RTA_DATA(a));
}

/* True: there is more to come. */
static bool take_all(struct peers *p, const char *buffer, ssize_t n)
{
    size_t left = (size_t)n;
    for (const struct nlmsghdr *h = (const struct nlmsghdr *)(const void *)buffer; NLMSG_OK(h, left);
         h = NLMSG_NEXT(h, left)) {
        if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR)
            return false;
        if (h->nlmsg_type == SOCK_DIAG_BY_FAMILY && h->nlmsg_len >= NLMSG_LENGTH(sizeof(struct unix_diag_msg)))
            take(p, h);
    }
    return true;
}

void peers_read(struct peers *p)
{
    static _Alignas(struct nlmsghdr) char buffer[32768];
    struct {
        struct nlmsghdr head;
        struct unix_diag_req ask;
    } q = {{.nlmsg_len = sizeof q, .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
           {.sdiag_family = AF_UNIX, .udiag_states = ~0u, .udiag_show = UDIAG_SHOW_PEER}};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    *p = (struct peers){NULL, 0};
    if (fd < 0)
        return;
    if (send(fd, &q, sizeof q, 0) == (ssize_t)sizeof q)
        for (ssize_t n; (n = recv(fd, buffer, sizeof buffer, 0)) > 0 && take_all(p, buffer, n);)
            ;
    close(fd);
}

u32 peers_of(const struct peers *p, u32 socket)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->pair[i].socket == socket)
            return p->pair[i].peer;
    return 0;
}

void peers_free(struct peers *p)
{
    free(p->pair);
    *p = (struct peers){NULL, 0};
}
