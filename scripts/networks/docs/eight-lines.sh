ip netns add net1
ip netns add net2
ip link add eth0 address 02:00:00:00:00:01 netns net1 type veth \
    peer name eth0 address 02:00:00:00:00:02 netns net2
ip -n net1 address add 10.0.0.1/24 dev eth0
ip -n net1 link set eth0 up
ip -n net2 link set eth0 up
