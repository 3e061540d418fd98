ip link add switch0 type bridge && ip link set switch0 up
for machine in gw:1 node1:10; do
    name=${machine%:*} number=${machine#*:}
    ip netns add $name
    ip link add to-$name type veth peer name eth0 address 02:00:00:00:00:$number netns $name
    ip link set to-$name master switch0 up
    ip -n $name address add 192.168.1.$number/24 dev eth0
    ip -n $name link set eth0 up
done
for n in 1 2; do
    ip netns add pod$n
    ip -n node1 link add link eth0 name eth1 address 02:00:00:00:00:1$n type macvlan mode bridge
    ip -n node1 link set eth1 netns pod$n name eth0
    ip -n pod$n address add 192.168.1.1$n/24 dev eth0
    ip -n pod$n link set eth0 up
done
