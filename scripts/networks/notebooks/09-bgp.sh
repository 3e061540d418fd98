ip link add switch0 type bridge && ip link set switch0 up
for pair in 1:docker0 2:br-5d1a0f2b9c3e; do
    n=${pair%:*} bridge=${pair#*:}
    ip netns add host$n
    ip netns add c$n
    ip -n host$n link set lo up
    ip link add port$n type veth peer name eth0 address 02:00:00:00:00:0$n netns host$n
    ip link set port$n master switch0 up
    ip -n host$n address add 172.12.1.$((n + 9))/24 dev eth0
    ip -n host$n link set eth0 up
    ip -n host$n link add $bridge type bridge
    ip -n host$n link set $bridge up
    ip -n host$n address add 172.$((n + 16)).0.1/16 dev $bridge
    ip -n host$n link add veth$n type veth \
        peer name eth0 address 02:42:ac:1$n:00:02 netns c$n
    ip -n host$n link set veth$n master $bridge up
    ip -n c$n link set lo up
    ip -n c$n address add 172.$((n + 16)).0.2/16 dev eth0
    ip -n c$n link set eth0 up
    ip -n c$n route add default via 172.$((n + 16)).0.1
    ip -n host$n route add 172.$((19 - n)).0.0/16 via 172.12.1.$((12 - n))
done
