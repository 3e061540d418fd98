/* The floor: the least that building a network costs, and taking it down until it is forgotten.
 *
 * floor SHAPE N builds one of the networks of shapes.py, prints nanoseconds, waits for a line, takes
 * it down, and prints nanoseconds again. Nothing is looked up, checked, or kept for an undo: one
 * batch of messages a namespace, answered once. */
#define _GNU_SOURCE
#include "messages.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* The numbers of interfaces are chosen here, so that nobody has to ask for them. */
enum { LO = 1, FIRST = 2, ROOT_ENDS = 1000, DOOMED = 77, MOST = 4096 };

static Place root;
static char names[MOST][16];
static int named;

/* Namespaces */

static Place here(void)
{
	Place place = { open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC),
			socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE) };
	if (place.file < 0 || place.socket < 0)
		err(1, "cannot open a namespace");
	return place;
}

static void leave(Place place)
{
	close(place.file);
	close(place.socket);
}

static const char *path_of(const char *name)
{
	static char path[64] = "/run/netns/";
	strcpy(path + strlen("/run/netns/"), name);
	return path;
}

static Place add_namespace(const char *kind, int number)
{
	char *name = names[named++];
	snprintf(name, sizeof *names, "%s%d", kind, number);
	const char *path = path_of(name);
	int file = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
	if (file < 0 || close(file) || unshare(CLONE_NEWNET)
	    || mount("/proc/self/ns/net", path, NULL, MS_BIND, NULL))
		err(1, "cannot add namespace %s", name);
	return here();
}

static const char *device(const char *kind, int number)
{
	static char name[16];
	snprintf(name, sizeof name, "%s%d", kind, number);
	return name;
}

/* Shapes */

static const uint32_t TEN = 10u << 24, GATEWAY = 10u << 24 | 1;

/* First all namespaces, then all cables, then what is in each: the hosts' first packets, which a
 * bridge copies to all of its ports, are so late that building is over. */
static Place hosts[MOST];

static void add_hosts(int count)
{
	for (int number = 1; number <= count; number++)
		hosts[number] = add_namespace("net", number);
}

static void add_cable(int number, Place outside)
{
	add_veth(outside, device("v", number), ROOT_ENDS + number, BRIDGE,
		 hosts[number], "eth0", FIRST);
}

static void furnish_hosts(int count)
{
	for (int number = 1; number <= count; number++) {
		Place host = hosts[number];
		int place = number + 1;
		set_up(host, LO);
		set_up(host, FIRST);
		add_address(host, FIRST, TEN | place / 250 << 8 | (place % 250 + 1), 16);
		add_default(host, GATEWAY);
		commit(host);
		leave(host);
	}
}

static void star(int count)
{
	add_hosts(count);
	add_bridge(root, "br1");
	add_address(root, BRIDGE, GATEWAY, 16);
	for (int number = 1; number <= count; number++)
		add_cable(number, root);
	commit(root);
	furnish_hosts(count);
}

static void chain(int count)
{
	Place before = { -1, -1 };
	for (int number = 1; number <= count; number++) {
		Place place = add_namespace("net", number);
		int file = open("/proc/sys/net/ipv4/ip_forward", O_WRONLY | O_CLOEXEC);
		if (write(file, "1", 1) != 1 || close(file))
			err(1, "ip_forward");
		set_up(place, LO);
		uint32_t right = TEN | (uint32_t)(number * 4 + 1), left = right + 1;
		if (number > 1) {
			add_veth(place, "left", FIRST, 0, before, "right", FIRST + 1);
			add_address(place, FIRST, left, 30);
			add_default(place, right);
		}
		commit(place);
		if (number > 1) {
			set_up(before, FIRST + 1);
			add_address(before, FIRST + 1, right, 30);
			if (number == 2)
				add_default(before, left);
			commit(before);
			leave(before);
		}
		before = place;
	}
	leave(before);
}

static int two_level(int count)
{
	static Place switches[MOST];
	int many = 1;
	while ((many + 1) * (many + 1) <= count)
		many++;
	for (int number = 1; number <= many; number++)
		switches[number] = add_namespace("sw", number);
	add_hosts(count - many);
	add_bridge(root, "br1");
	add_address(root, BRIDGE, GATEWAY, 16);
	for (int number = 1; number <= many; number++)
		add_veth(root, device("u", number), ROOT_ENDS + number, BRIDGE,
			 switches[number], "uplink", FIRST);
	commit(root);
	for (int number = 1; number <= many; number++) {
		Place place = switches[number];
		set_up(place, LO);
		add_bridge(place, "br0");
		set_up(place, FIRST);
		put_number(IFLA_MASTER, BRIDGE);
		for (int host = number; host <= count - many; host += many)
			add_cable(host, place);
		commit(place);
		leave(place);
	}
	furnish_hosts(count - many);
	return many;
}

/* Taking down */

/* One worker of the kernel's clears namespaces away, in the order in which they ended. So when one
 * that ended last has taken its cable along, all others are gone. It is watched from a namespace of
 * its own, where nothing else happens. */
static Place add_witness(void)
{
	if (unshare(CLONE_NEWNET))
		err(1, "unshare");
	Place near = here();
	if (unshare(CLONE_NEWNET))
		err(1, "unshare");
	/* No socket there: the kernel frees it late, and until then it holds the namespace. */
	Place far = { open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), -1 };
	add_veth(near, "near", FIRST, 0, far, "far", FIRST);
	commit(near);
	int links = RTNLGRP_LINK;
	if (setns(root.file, CLONE_NEWNET) || setsockopt(near.socket, SOL_NETLINK,
	    NETLINK_ADD_MEMBERSHIP, &links, sizeof links))
		err(1, "cannot watch");
	close(near.file);
	return (Place){ far.file, near.socket };
}

static void wait_for(Place witness)
{
	static char event[ROOM];
	struct nlmsghdr *message = (void *)event;
	close(witness.file);
	do
		if (recv(witness.socket, event, ROOM, 0) < 0)
			err(1, "recv");
	while (message->nlmsg_type != RTM_DELLINK);
}

/* Each request to delete waits until nobody can be looking any more: so what stands in the root is
 * put into one group, and goes with one request. */
static void mark(int index)
{
	link_message(root, RTM_SETLINK, index, false);
	put_number(IFLA_GROUP, DOOMED);
}

static void delete_marked(void)
{
	link_message(root, RTM_DELLINK, 0, false);
	put_number(IFLA_GROUP, DOOMED);
	commit(root);
}

/* Held open until the last name is gone, all namespaces end at once, and the worker clears them away
 * in one go instead of three. Without anything in the root there is nothing to gain. */
static void remove_names(bool together)
{
	static int held[MOST];
	for (int number = 0; together && number < named; number++)
		held[number] = open(path_of(names[number]), O_RDONLY | O_CLOEXEC);
	for (int number = 0; number < named; number++) {
		const char *path = path_of(names[number]);
		if (umount2(path, MNT_DETACH) || unlink(path))
			err(1, "cannot remove %s", path);
	}
	for (int number = 0; together && number < named; number++)
		close(held[number]);
}

static void down(int root_ends)
{
	Place witness = add_witness();
	if (root_ends) {
		mark(BRIDGE);
		for (int number = 1; number <= root_ends; number++)
			mark(ROOT_ENDS + number);
		delete_marked();
	}
	remove_names(root_ends);
	wait_for(witness);
}

static uint64_t now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000ull + time.tv_nsec;
}

int main(int argc, char **argv)
{
	if (argc != 3 || atoi(argv[2]) < 2 || atoi(argv[2]) >= MOST)
		errx(2, "usage: floor star|chain|two-level N");
	int count = atoi(argv[2]), switches = 0;
	struct rlimit limit = { MOST * 2, MOST * 2 };
	setrlimit(RLIMIT_NOFILE, &limit);
	mkdir("/run/netns", 0755);
	root = here();
	uint64_t before = now();
	if (!strcmp(argv[1], "star"))
		star(count);
	else if (!strcmp(argv[1], "chain"))
		chain(count);
	else
		switches = two_level(count);
	if (setns(root.file, CLONE_NEWNET))
		err(1, "setns");
	printf("%lu\n", now() - before);
	fflush(stdout);
	getchar();
	before = now();
	down(switches ? switches : strcmp(argv[1], "chain") ? count : 0);
	printf("%lu\n", now() - before);
}
